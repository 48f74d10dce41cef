import Sessions
import TestKit
import Testing

@Suite("Bounds of sessions")
struct BoundsTests {
    private func makeBounded(
        _ bounds: BoundsInput, _ values: [Double] = [-1.2, 1, -1.2, 1]
    ) -> CreateRequest {
        var request = CreateRequest(
            parameters: [
                ParameterInput(name: nil, shape: [values.count], values: values, bounds: bounds)
            ])
        request.isShortForm = true
        request.options.mode = .robust
        return request
    }

    private func makeParameters(_ bounds: [BoundsInput]) -> CreateRequest {
        var request = CreateRequest(
            parameters: bounds.enumerated().map {
                ParameterInput(name: "p\($0)", shape: [2], values: .fill(0.5), bounds: $1)
            })
        request.options.mode = .robust
        return request
    }

    private func bounds(_ service: SessionService, _ id: SessionID) async throws -> BoundsInput {
        try await service.withSession(id) { try await $0.bounds() }.bounds
    }

    @Test("A number for all stays one, and tensors that differ become a vector")
    func joiningTensors() async throws {
        let service = makeService()
        let same = try await makeSession(
            service, makeParameters(.init(repeating: .init(lower: .uniform(0)), count: 3)))
        #expect(try await bounds(service, same) == BoundsInput(lower: .uniform(0)))
        let mixed = try await makeSession(
            service,
            makeParameters([
                .init(upper: .uniform(1)), .init(lower: .each([-1, 0]), l1: .uniform(2)), .init(),
            ]))
        let none = Double.infinity
        #expect(
            try await bounds(service, mixed)
                == BoundsInput(
                    lower: .each([-none, -none, -1, 0, -none, -none]),
                    upper: .each([1, 1, none, none, none, none]), l1: .each([0, 0, 2, 2, 0, 0])))
    }

    @Test("An error names the tensor and the number's place in it")
    func errorsOfTensors() async {
        let service = makeService()
        #expect(
            await refusedFields(
                service,
                makeParameters([.init(), .init(lower: .each([0, 2]), upper: .uniform(1))])
            ) == ["params[1].lower[1]"])
        #expect(
            await refusedFields(
                service, makeParameters([.init(), .init(lower: .uniform(.nan))])
            ) == ["params[1].lower"])
        #expect(
            await refusedFields(
                service, makeParameters([.init(upper: .each([1])), .init(l1: .each([1, 2, 3]))])
            ) == ["params[0].upper", "params[1].l1"])
    }

    @Test("Vectors of bounds are written once, whatever snapshots follow")
    func storedOnce() async throws {
        let store = MemoryStore()
        let service = makeService(store: store) { $0.snapshotIntervalEvaluations = 2 }
        let id = try await makeSession(
            service, makeBounded(.init(lower: .each([-1, -2, -0.5, 0]), upper: .uniform(0.8))))
        func identifiers() async throws -> [VectorName: VectorID] {
            try await store.load(id).snapshot.vectors.mapValues(\.id)
        }
        let first = try await identifiers()
        #expect(first["lower"] != nil && first["upper"] == nil)
        _ = try await service.beginStep(id)
        try await run(service, id, count: 9)
        let later = try await identifiers()
        #expect(later["lower"] == first["lower"] && later["x"] != first["x"])
        _ = try await service.withSession(id) { try await $0.stop() }
        _ = try await service.withSession(id) {
            try await $0.setBounds(.flat(.init(lower: .each([-1, -1, -1, -1]))))
        }
        let changed = try await identifiers()
        #expect(changed["lower"] != nil && changed["lower"] != first["lower"])
    }

    @Test("A session with bounds has snapshot format 4, and others the former ones")
    func formats() async throws {
        let store = MemoryStore()
        let service = makeService(store: store)
        let plain = try await makeSession(service)
        let bounded = try await makeSession(service, makeBounded(.init(lower: .uniform(-1))))
        let formats = try await [plain, bounded].asyncMap {
            try await store.load($0).snapshot.formatVersion
        }
        #expect(formats == [2, 4])
        // Bounds that are taken away leave the arithmetic.
        _ = try await service.withSession(bounded) { try await $0.setBounds(.flat(.init())) }
        #expect(try await store.load(bounded).snapshot.formatVersion == 4)
    }

    @Test("Points after each eviction are those of a session that stays in memory")
    func resumption() async throws {
        let store = MemoryStore()
        let request = makeBounded(
            .init(lower: .each([-1, -2, -0.5, 0]), upper: .uniform(0.8), l1: .uniform(0.125)))
        let calm = makeService()
        let calmID = try await makeSession(calm, request)
        _ = try await calm.beginStep(calmID)
        let expected = try await run(calm, calmID)

        let id = try await makeSession(makeService(store: store), request)
        _ = try await makeService(store: store).beginStep(id)
        var points: [Vector] = []
        while true {
            let fresh = makeService(store: store)
            let told = try await run(fresh, id, count: 1)
            if told.isEmpty { break }
            points += told
        }
        #expect(points == expected && points.count > 10)
    }

    @Test("A result with bounds is stored with its step")
    func results() async throws {
        let store = MemoryStore()
        let service = makeService(store: store)
        let id = try await makeSession(service, makeBounded(.init(upper: .uniform(0.5))))
        _ = try await service.beginStep(id)
        try await run(service, id)
        let result = try await service.turn(id).result
        #expect(result?.activeBounds != nil && result?.projectedGradientNormInf != nil)
        #expect(try await store.step(id, number: 1)?.result == result)
    }
}

extension Array where Element: Sendable {
    fileprivate func asyncMap<Value>(
        _ transform: (Element) async throws -> Value
    ) async rethrows -> [Value] {
        var values: [Value] = []
        for element in self { values.append(try await transform(element)) }
        return values
    }
}
