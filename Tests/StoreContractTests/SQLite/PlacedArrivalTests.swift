import SQLiteStore
import Sessions
import TestKit
import Testing

/// Gradients of named tensors that are placed, and written to the disk, while they arrive.
@Suite struct PlacedArrivalTests {
    private static let sizes = ["a": 40_000, "b": 3, "c": 60_001]

    private func make(_ service: SessionService) async throws -> SessionID {
        var request = CreateRequest(
            parameters: Self.sizes.sorted { $0.key < $1.key }.map { name, size in
                ParameterInput(name: name, shape: [size], values: .fill(1))
            })
        request.options.historySize = 3
        return try await service.create(request).value.record.id
    }

    /// The gradient of a sum of squares at a turn's point, by parameter; the loss.
    private func evaluate(_ turn: Turn) -> (loss: Double, slopes: [String: [Double]]) {
        let x = turn.x.doubles
        let all = x.enumerated().map { Double(1 + $0 % 7) * $1 }
        var slopes: [String: [Double]] = [:]
        var start = 0
        for (name, size) in Self.sizes.sorted(by: { $0.key < $1.key }) {
            slopes[name] = Array(all[start..<start + size])
            start += size
        }
        return (zip(all, x).reduce(0) { $0 + $1.0 * $1.1 / 2 }, slopes)
    }

    private func streamed(
        _ order: [String], _ slopes: [String: [Double]], _ loss: Double, by piece: Int,
        to service: SessionService, _ id: SessionID, _ number: EvaluationNumber
    ) async throws -> ReceivedVector {
        let expected = try await service.withSession(id) {
            try await $0.expectedResult(of: number, bytes: nil)
        }
        let tensors = order.map { name in
            VectorHeader.Tensor(
                name: name,
                header: TensorHeader(dtype: .float64, shape: [slopes[name]?.count ?? 0]))
        }
        let vector = try service.arriving(expected, .tensors(tensors), loss: loss)
        let bytes = Vector(order.flatMap { slopes[$0] ?? [] }, as: .float64).bytes
        for start in stride(from: 0, to: bytes.count, by: piece) {
            // Sound: the buffer is used within the call.
            let isTaken = unsafe bytes[start..<min(start + piece, bytes.count)].withUnsafeBytes {
                unsafe vector.append($0)
            }
            #expect(isTaken)
        }
        #expect(unsafe !bytes.prefix(1).withUnsafeBytes { unsafe vector.append($0) })
        return try #require(await vector.take())
    }

    @Test(
        "They are the gradient in the order of the parameters",
        arguments: ["abc", "acb", "bac", "bca", "cab", "cba", "ca", "ba", "b", "c"],
        [999_983, 65_001])
    func placed(order: String, piece: Int) async throws {
        try await withDirectory { directory in
            let store = try await SQLiteStore(directory: directory)
            let service = SessionService(store: store)
            let (id, other) = (try await make(service), try await make(service))
            var turn = try await service.withSession(id) { try await $0.beginStep() }.value
            var undisturbed = try await service.withSession(other) {
                try await $0.beginStep()
            }.value
            var told = 0
            while let number = turn.evaluation, told < 3 {
                let (loss, all) = evaluate(turn)
                let slopes = all.filter { order.contains($0.key) }
                let whole = TellRequest.evaluated(
                    loss: loss, gradient: .named(slopes.mapValues { Optional($0) }))
                let vector = try await streamed(
                    order.map(String.init), slopes, loss, by: piece, to: service, id, number)
                turn = try await service.tell(
                    id, evaluation: number, .evaluated(loss: loss, gradient: .received(vector))
                ).value
                undisturbed = try await service.tell(other, evaluation: number, whole).value
                #expect(turn.x == undisturbed.x)
                // Another service loads the session from the disk.
                let next = SessionService(store: store)
                #expect(try await next.turn(id).x == turn.x)
                #expect(try await next.tell(id, evaluation: number, whole).isReplay)
                told += 1
            }
            #expect(told > 0)
            #expect(try await store.inconsistencies() == [])
            await store.close()
        }
    }
}
