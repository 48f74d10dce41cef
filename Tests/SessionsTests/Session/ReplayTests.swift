import Sessions
import TestKit
import Testing

struct ReplayTests {
    @Test(arguments: [DType.float64, .float32], [HistoryDType?.none] + HistoryDType.allCases)
    func `a service that restarts before every call has the same bits`(
        dtype: DType, historyDType: HistoryDType?
    ) async throws {
        var request = makeRequest()
        request.dtype = dtype
        request.options.historyDType = historyDType
        let whole = MemoryStore()
        let wholeService = makeService(store: whole)
        let one = try await makeSession(wholeService, request)
        let parts = MemoryStore()
        let other = try await makeSession(makeService(store: parts), request)
        for _ in 0..<3 {
            _ = try await wholeService.beginStep(one)
            _ = try await makeService(store: parts).beginStep(other)
            while true {
                let turn = try await wholeService.turn(one)
                // A small interval takes the snapshot path too, in the middle of line searches.
                let restarted = makeService(store: parts) { $0.snapshotIntervalEvaluations = 3 }
                let same = try await restarted.turn(other)
                #expect(same.x == turn.x && same.evaluation == turn.evaluation)
                #expect(same.result == turn.result)
                guard let number = turn.evaluation else { break }
                _ = try await wholeService.tell(one, evaluation: number, answer(turn))
                _ = try await restarted.tell(other, evaluation: number, answer(turn))
            }
        }
    }

    @Test("A heavy session runs aside, and its replay leads where it went")
    func heavy() async throws {
        let store = MemoryStore()
        let service = makeService(store: store)
        let count = 120_000
        let heavy = try await makeSession(
            service, makeRequest([Double](repeating: 1, count: count), search: nil))
        let light = try await makeSession(service)
        _ = try await service.beginStep(heavy)
        _ = try await service.beginStep(light)
        let gradient = (0..<count).map { Double($0 % 7) - 3 }
        async let points = run(service, light)
        var turn = try await service.turn(heavy)
        for round in 1...4 {
            turn = try await service.tell(
                heavy, evaluation: round,
                .evaluated(
                    loss: 10 / Double(round), gradient: .flat(gradient.map { $0 / Double(round) }))
            ).value
        }
        #expect(try await points.count > 1)
        #expect(turn.evaluation == 5 && turn.x.count == count)
        #expect(try await makeService(store: store).turn(heavy) == turn)
    }
}
