import Sessions
import TestKit
import Testing

struct NewParametersTests {
    @Test func `what is wrong with a request is named, and nothing changes`() async throws {
        let service = makeService { $0.parametersMax = 10 }
        #expect(await refusedFields(service, makeRequest([])) == ["x0"])
        #expect(await refusedFields(service, makeRequest(Array(repeating: 1, count: 11))) == ["x0"])
        #expect(await refusedFields(service, makeRequest([.nan])) == ["x0"])
        var request = makeRequest([1e300])
        request.dtype = .float32
        #expect(await refusedFields(service, request) == ["x0"])
        request = makeRequest()
        request.options.lr = -1
        #expect(await refusedFields(service, request) == ["options.lr"])
        request.options.lr = 1
        request.options.historySize = .max
        #expect(await refusedFields(service, request) == ["options.history_size"])
        request = CreateRequest(parameters: [
            ParameterInput(name: "w", shape: [2, 2], values: [1, 2, 3]),
            ParameterInput(name: "w", shape: [-1], values: []),
        ])
        #expect(await refusedFields(service, request).contains("params[0].values"))
        #expect(await refusedFields(service, request).contains("params[1].shape"))
        #expect(try await service.list().items.isEmpty)
    }

    @Test func `parameters can be filled, and memory is checked before it is taken`() async throws {
        let service = makeService { $0.parametersMax = 10 }
        func request(_ count: Int, _ value: Double) -> CreateRequest {
            CreateRequest(parameters: [
                ParameterInput(name: "w", shape: [count], values: .fill(value)),
                ParameterInput(name: "b", shape: [2], values: [3, 4]),
            ])
        }
        var narrow = request(3, 0.1)
        narrow.dtype = .float32
        let id = try await makeSession(service, narrow)
        let values = try await service.withSession(id) { try await $0.parameters() }.values
        #expect(values == .float32([0.1, 0.1, 0.1, 3, 4]))
        narrow = request(3, 1e39)
        narrow.dtype = .float32
        #expect(await refusedFields(service, narrow) == ["params[0].fill"])
        #expect(await refusedFields(service, request(3, .nan)) == ["params[0].fill"])
        #expect(await refusedFields(service, request(9, 1)) == ["params"])
        #expect(await refusedFields(service, request(.max, 1)) == ["params"])
        var huge = request(8, 1)
        huge.options.historySize = .max
        #expect(await refusedFields(service, huge) == ["options.history_size"])
    }

    @Test func `narrow pairs need less memory, and may be asked for later`() async throws {
        let service = makeService()
        func bytes(_ historyDType: HistoryDType?) async throws -> Int {
            var request = makeRequest()
            request.options.historyDType = historyDType
            return try await service.create(request).value.memoryBytesEstimate
        }
        let wide = try await bytes(nil)
        #expect(try await bytes(.float64) == wide)
        let saved = 2 * 2 * 101 * 4
        #expect(try await bytes(.float32) == wide - saved)
        #expect(try await bytes(.bfloat16) == wide - saved * 3 / 2)

        let id = try await makeSession(service)
        var update = UpdateRequest()
        update.options = OptionsPatch()
        update.options?.historyDType = .bfloat16
        let view = try await service.update(id, update)
        #expect(view.options.historyDType == .bfloat16)
        #expect(view.memoryBytesEstimate == wide - saved * 3 / 2)
    }

    @Test func `counts have limits that are checked before anything else`() async throws {
        let service = makeService()
        func shaped(_ rank: Int) -> CreateRequest {
            CreateRequest(parameters: [
                ParameterInput(
                    name: "w", shape: [Int](repeating: 1, count: rank), values: .fill(1))
            ])
        }
        _ = try await makeSession(service, shaped(64))
        #expect(await refusedFields(service, shaped(65)) == ["params[0].shape"])
        #expect(await refusedFields(service, shaped(200_000)) == ["params[0].shape"])
        let many = CreateRequest(
            parameters: (0..<10_001).map {
                ParameterInput(name: "w\($0)", shape: [0], values: .fill(1))
            })
        #expect(await refusedFields(service, many) == ["params"])
        var labelled = makeRequest()
        labelled.labels = Dictionary(uniqueKeysWithValues: (0..<33).map { ("\u{7f}\($0)", "") })
        #expect(await refusedFields(service, labelled) == ["labels"])
        var long = makeRequest()
        long.options.historySize = 10_001
        #expect(await refusedFields(service, long) == ["options.history_size"])
        let id = try await makeSession(service)
        _ = try await service.beginStep(id)
        let error = await refusal {
            _ = try await service.tell(
                id, evaluation: 1, .failed(reason: String(repeating: "x", count: 1_001)))
        }
        guard case .invalid(let errors) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(errors.map(\.field) == ["failed"])
        _ = try await service.tell(
            id, evaluation: 1, .failed(reason: String(repeating: "x", count: 1_000)))
    }

    @Test func `a state dict can't bring more than a history may have`() async throws {
        let service = makeService()
        let id = try await makeSession(service)
        _ = try await service.beginStep(id)
        try await run(service, id)
        var (dict, _) = try await service.withSession(id) { try await $0.stateDict() }
        dict.state?.al = [Double?](repeating: nil, count: 10_001)
        let wide = dict
        let error = await refusal {
            _ = try await service.withSession(id) { try await $0.loadStateDict(wide) }
        }
        guard case .invalid(let errors) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(errors.map(\.field) == ["state.0.al"])
    }
}
