import Foundation
import Sessions
import Telemetry
import TestKit
import Testing

/// Sessions in memory are held to a budget of bytes.
@Suite struct MemoryBudgetTests {
    private let count = 1000
    private let metrics = MetricsRegistry()

    private func makeService(roomFor sessions: Double, store: any Store) async throws
        -> SessionService
    {
        let one = try await bytesOfOne()
        var limits = Limits()
        limits.waitSecondsMax = 300
        limits.residentBytesMax = Int(sessions * Double(one))
        return SessionService(store: store, limits: limits, metrics: metrics)
    }

    private func request(history: Int = 10) -> CreateRequest {
        var request = CreateRequest(
            parameters: [
                ParameterInput(
                    name: nil, shape: [count], values: Array(repeating: 1, count: count))
            ])
        request.options.historySize = history
        return request
    }

    /// As it is counted: the estimate and what comes on top of it.
    private func bytesOfOne() async throws -> Int {
        let service = SessionService(store: MemoryStore(), metrics: MetricsRegistry())
        return try await service.create(request()).value.memoryBytesEstimate + 16 << 10
    }

    private func value(_ name: String) -> Double {
        metrics.render().split(separator: "\n").first { $0.hasPrefix(name + " ") }
            .flatMap { Double($0.split(separator: " ")[1]) } ?? .nan
    }

    private var resident: (sessions: Double, bytes: Double) {
        (value("lbfgsd_sessions_resident"), value("lbfgsd_sessions_resident_bytes"))
    }

    private var loads: Double { value("lbfgsd_session_loads_total") }

    @Test("Those used least recently leave for those that come")
    func leave() async throws {
        let service = try await makeService(roomFor: 4.5, store: MemoryStore())
        let one = try await bytesOfOne()
        var ids: [SessionID] = []
        for _ in 1...20 {
            ids.append(try await service.create(request()).value.record.id)
            #expect(resident.bytes <= 4.5 * Double(one))
            #expect(resident.bytes == resident.sessions * Double(one))
        }
        #expect(resident.sessions >= 3)
        for id in ids {
            _ = try await service.beginStep(id)
            #expect(resident.bytes <= 4.5 * Double(one))
        }
        for id in ids { #expect(try await service.turn(id).evaluation == 1) }
        for id in ids { try await service.delete(id) }
        #expect(resident.sessions == 0 && resident.bytes == 0)
    }

    @Test("A session has the same bits, however often it has to leave")
    func bits() async throws {
        var results: [Turn] = []
        for room in [1.5, 100] {
            let service = try await makeService(roomFor: room, store: MemoryStore())
            let id = try await service.create(request()).value.record.id
            let other = try await service.create(request()).value.record.id
            var turn = try await service.beginStep(id).value
            while let number = turn.evaluation {
                let x = turn.x.doubles
                let told = TellRequest.evaluated(
                    loss: x.reduce(0) { $0 + $1 * $1 * $1 * $1 },
                    gradient: .flat(x.map { 4 * $0 * $0 * $0 }))
                turn = try await service.tell(id, evaluation: number, told).value
                _ = try await service.turn(other)
            }
            results.append(turn)
        }
        #expect(results[0].x == results[1].x && results[0].result == results[1].result)
    }

    @Test("When all are in use, one that isn't here is refused with the numbers, and later served")
    func refused() async throws {
        let store = MemoryStore()
        let roomy = SessionService(store: store, metrics: MetricsRegistry())
        var ids: [SessionID] = []
        for _ in 1...3 { ids.append(try await roomy.create(request()).value.record.id) }
        let service = try await makeService(roomFor: 2.5, store: store)
        let one = try await bytesOfOne()
        let waits = ids.prefix(2).map { id in
            Task { try await service.turn(id, waitSeconds: 3600) }
        }
        while resident.sessions < 2 { try await Task.sleep(for: .milliseconds(5)) }
        // They have to have begun to wait.
        try await Task.sleep(for: .milliseconds(100))
        for _ in 1...3 {
            let refusal = await #expect(throws: SessionError.self) {
                _ = try await service.turn(ids[2])
            }
            #expect(
                refusal
                    == .memoryFull(
                        needed: one, reserved: 2 * one, maximum: Int(2.5 * Double(one)),
                        retryAfterSeconds: 1))
            let creation = await #expect(throws: SessionError.self) {
                _ = try await service.create(request())
            }
            #expect(creation == refusal)
        }
        #expect(try await service.list().items.count == 3)
        #expect(try await service.turn(ids[0]).phase == .idle)
        for wait in waits { wait.cancel() }
        for wait in waits { _ = try? await wait.value }
        #expect(try await service.turn(ids[2]).phase == .idle)
    }

    @Test("One that needs more than the whole budget is there alone")
    func alone() async throws {
        let service = try await makeService(roomFor: 0.5, store: MemoryStore())
        let first = try await service.create(request()).value.record.id
        let second = try await service.create(request()).value.record.id
        #expect(resident.sessions == 1)
        _ = try await service.beginStep(first)
        #expect(try await service.turn(second).phase == .idle)
        #expect(resident.sessions == 1)
    }

    @Test("One that is leaving already isn't taken for one in use")
    func leaving() async throws {
        // When both are here, one is asked to leave before anybody needs its room; who does comes
        // at any moment of that.
        let service = try await makeService(roomFor: 2, store: MemoryStore())
        for _ in 1...300 {
            let id = try await service.create(request()).value.record.id
            _ = try await service.beginStep(id)
        }
        #expect(resident.sessions <= 2)
    }

    @Test("Those that have room for one only take turns, and none is sent away before its use")
    func oneAtATime() async throws {
        let service = try await makeService(roomFor: 1, store: MemoryStore())
        var ids: [SessionID] = []
        for _ in 1...3 { ids.append(try await service.create(request()).value.record.id) }
        for id in ids {
            #expect(try await service.turn(id).phase == .idle)
            // Here to stay: nobody else wants the room.
            let loads = self.loads
            for _ in 1...50 { #expect(try await service.turn(id).phase == .idle) }
            #expect(self.loads == loads)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for id in ids {
                group.addTask {
                    for _ in 1...100 {
                        do {
                            _ = try await service.turn(id)
                        } catch SessionError.memoryFull {
                            // Another is in use, which is said.
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(resident.sessions <= 1)
    }

    @Test("A checkpoint's state counts beside the session's, and both fit when they are alone")
    func secondState() async throws {
        let store = MemoryStore()
        let roomy = SessionService(store: store, metrics: MetricsRegistry())
        let id = try await roomy.create(request()).value.record.id
        let other = try await roomy.create(request()).value.record.id
        _ = try await roomy.createCheckpoint(id)
        // Both are here; the other one is in use, or isn't.
        let service = try await makeService(roomFor: 2.5, store: store)
        let one = try await bytesOfOne()
        let wait = Task { try await service.turn(other, waitSeconds: 3600) }
        while resident.sessions < 1 { try await Task.sleep(for: .milliseconds(5)) }
        try await Task.sleep(for: .milliseconds(100))
        for _ in 1...2 {
            let refusal = await #expect(throws: SessionError.self) {
                _ = try await service.restore(id, checkpoint: 1)
            }
            #expect(
                refusal
                    == .memoryFull(
                        needed: one, reserved: 2 * one, maximum: Int(2.5 * Double(one)),
                        retryAfterSeconds: 1))
        }
        wait.cancel()
        _ = try? await wait.value
        #expect(try await service.restore(id, checkpoint: 1).value.phase == .idle)
        let fork = try await service.fork(id, checkpoint: 1).value.record.id
        #expect(resident.bytes <= 2.5 * Double(one))
        try await service.delete(fork)
        let narrow = try await makeService(roomFor: 1.5, store: store)
        #expect(try await narrow.restore(id, checkpoint: 1).value.phase == .idle)
        _ = try await narrow.checkpointStateDict(id, number: 1)
    }

    @Test("A session that grows counts with its new size, also when it comes back")
    func grows() async throws {
        let store = MemoryStore()
        let service = try await makeService(roomFor: 6, store: store)
        let one = try await bytesOfOne()
        let id = try await service.create(request()).value.record.id
        let other = try await service.create(request()).value.record.id
        var update = UpdateRequest()
        update.options = OptionsPatch()
        update.options?.historySize = 30
        let grown = try await service.update(id, update).memoryBytesEstimate + 16 << 10
        #expect(grown > 2 * one)
        #expect(resident.bytes == Double(grown + one))
        try await service.delete(other)
        #expect(resident.bytes == Double(grown))
        #expect(try await store.summary(id).record.memoryBytes + 16 << 10 == grown)
        let later = MetricsRegistry()
        let again = SessionService(store: store, metrics: later)
        _ = try await again.turn(id)
        #expect(later.render().contains("lbfgsd_sessions_resident_bytes \(grown)"))
        try await service.delete(id)
        #expect(resident.bytes == 0)
    }
}
