import SessionModel
import Testing
import Wire

private func state() -> TorchState<Double> {
    TorchState(
        funcEvals: 7, nIter: 3, d: [0.1, -0.0], t: 0.1, oldDirs: [[1, 2], [3, 4]],
        oldStps: [[.leastNonzeroMagnitude, 6], [7, 8]], ro: [0.1, 0.5], hDiag: 1.5,
        prevFlatGrad: [1, -1], prevLoss: -.infinity, al: [0.1, -0.5, nil])
}

/// A dict with this state and one group.
private func make(_ state: TorchState<Double>?, _ dtype: DType? = nil) throws -> StateDict {
    let group = "{\"lr\":0.5,\"params\":[0]}"
    var dict = try StateDict(json: utf8("{\"state\":{},\"param_groups\":[\(group)]}"))
    dict.dtype = dtype
    dict.state = state
    return dict
}

private func complaint(_ tensors: [Safetensors.Tensor], _ text: String?) -> String? {
    let metadata = text.map { ["state_dict": $0] } ?? [:]
    do {
        _ = try StateDict(
            safetensors: Safetensors(tensors: tensors, metadata: metadata).bytes)
    } catch WireError.invalid(let errors) {
        return errors.map { "\($0.field) \($0.reason)" }.joined(separator: "; ")
    } catch {}
    return nil
}

private let counts = """
    {"state":{"0":{"func_evals":1,"n_iter":1}},"param_groups":[{"params":[0]}]}
    """

@Suite("A state dict in safetensors")
struct SafetensorsStateDictTests {
    @Test("has a tensor where torch has one, and one string for the rest")
    func words() throws {
        let file = try Safetensors(bytes: make(state(), .float32).safetensors)
        let vectors = [
            "d", "prev_flat_grad", "old_dirs.0", "old_dirs.1", "old_stps.0", "old_stps.1",
        ]
        let scalars = ["H_diag", "ro.0", "ro.1", "al.0", "al.1"]
        #expect(
            Set(file.tensors.map(\.name)) == Set((vectors + scalars).map { "state.0.\($0)" }))
        for tensor in file.tensors {
            #expect(tensor.shape == [2] && tensor.number == .float32 || tensor.shape == [])
        }
        #expect(
            file.metadata == [
                "state_dict": """
                {"state":{"0":{"func_evals":7,"n_iter":3,"t":0.1,"prev_loss":"-Infinity",\
                "al":[null,null,null]}},"param_groups":[{"lr":0.5,"params":[0]}]}
                """
            ])
    }

    @Test("comes back as it went, to the bit")
    func roundTrip() throws {
        var fresh = TorchState<Double>(funcEvals: 1, nIter: 0)
        var first = state()
        (first.oldDirs, first.oldStps, first.ro, first.al) = ([], [], [], nil)
        var padded = state()
        padded.al = [nil, nil]
        for state in [nil, fresh, first, padded, state()] {
            let read = try StateDict(safetensors: make(state, .float64).safetensors)
            #expect(read.state == state)
            #expect(try read == make(state, state?.d == nil ? nil : .float64))
        }
        fresh.d = [Double(Float(0.1)), Double(Float.leastNonzeroMagnitude), -0.0]
        fresh.hDiag = 0.1
        let read = try StateDict(safetensors: make(fresh, .float32).safetensors)
        #expect(try read == make(fresh) && read.state?.d?[2].sign == .minus)
    }

    @Test("has a precision only where another would round its vectors")
    func precision() throws {
        for (value, dtype) in [(0.5, nil), (0.1, .float64), (1e300, .float64)] as [(_, DType?)] {
            let state = TorchState<Double>(funcEvals: 1, nIter: 1, oldStps: [[1, value]])
            #expect(
                try StateDict(safetensors: make(state, .float64).safetensors).dtype == dtype)
        }
    }

    @Test("can be read again however long its history is")
    func longHistory() throws {
        let vectors = [[Double]](repeating: [1], count: 5000)
        let numbers = [Double](repeating: 1, count: 5000)
        let state = TorchState(
            funcEvals: 1, nIter: 1, oldDirs: vectors, oldStps: vectors, ro: numbers, al: numbers)
        let dict = try make(state)
        #expect(try StateDict(safetensors: dict.safetensors) == dict)
    }

    @Test("may have torch's other numbers as tensors too")
    func leniency() throws {
        let tensors: [Safetensors.Tensor] = [
            .init(name: "state.0.t", vector: [0.25], as: .float32),
            .init(name: "state.0.prev_loss", scalar: 3),
            .init(name: "state.0.al.1", scalar: 5),
            .init(name: "state.0.al.0", scalar: 4),
            .init(name: "param_groups.0.lr", vector: [0.5], as: .float64),
        ]
        let dict = try StateDict(
            safetensors: Safetensors(tensors: tensors, metadata: ["state_dict": counts]).bytes)
        #expect(dict.state?.t == 0.25 && dict.state?.prevLoss == 3 && dict.options.lr == 0.5)
        #expect(dict.state?.al == [4, 5])
    }

    @Test(
        "is refused with the name of what is wrong",
        arguments: [
            ("x", "x is not known"),
            ("param_groups.1.lr", "param_groups.1.lr is not known"),
            ("state.1.d", "state.1.d is not known"),
            ("state.0.D", "state.0.D is not known"),
            ("state.0.old_dirs", "state.0.old_dirs is not known"),
            ("state.0.old_dirs.", "state.0.old_dirs. is not known"),
            ("state.0.old_dirs.00", "state.0.old_dirs.00 is not known"),
            ("state.0.old_dirs.-1", "state.0.old_dirs.-1 is not known"),
            ("state.0.old_dirs.0.0", "state.0.old_dirs.0.0 is not known"),
            ("state.0.d.0", "state.0.d.0 is not known"),
            (
                "state.0.old_dirs.2",
                "state.0.old_dirs.0 is missing, and there is state.0.old_dirs.2"
            ),
            (
                "state.0.al.9223372036854775807",
                "state.0.al.0 is missing, and there is state.0.al.9223372036854775807"
            ),
            ("state.0.t", "state.0.t must be one number, not of the shape [2]"),
            ("state.0.ro.0", "state.0.ro.0 must be one number, not of the shape [2]"),
        ])
    func refused(name: String, expected: String) {
        let tensor = Safetensors.Tensor(name: name, vector: [1, 2], as: .float64)
        #expect(complaint([tensor], counts) == expected)
    }

    @Test("is refused when its string and its tensors don't fit each other")
    func mismatch() {
        let d = Safetensors.Tensor(name: "state.0.d", scalar: 1)
        #expect(
            complaint([d], counts) == "state.0.d must have one dimension, not the shape []")
        let vector = Safetensors.Tensor(name: "state.0.d", vector: [1], as: .float64)
        #expect(
            complaint([vector], "{\"state\":{},\"param_groups\":[{\"params\":[0]}]}")
                == "state.0.d has a place only beside func_evals and n_iter")
        func with(_ more: String) -> String {
            "{\"state\":{\"0\":{\"func_evals\":1,\"n_iter\":1,\(more)}},"
                + "\"param_groups\":[{\"params\":[0]}]}"
        }
        #expect(
            complaint([vector], with("\"d\":[1]")) == "state.0.d is given by state_dict too")
        let ro = Safetensors.Tensor(name: "state.0.ro.0", scalar: 1)
        #expect(complaint([ro], with("\"ro\":[]")) == "state.0.ro.0 is given by state_dict too")
        let al = Safetensors.Tensor(name: "state.0.al.1", scalar: 1)
        #expect(
            complaint([al], with("\"al\":[null]"))
                == "state.0.al.1 has no place among the 1 of al")
        #expect(
            complaint([al], with("\"al\":[null,2]")) == "state.0.al.1 is given by state_dict too")
        let rate = Safetensors.Tensor(name: "param_groups.0.lr", scalar: 1)
        #expect(
            complaint([rate], "{\"state\":{},\"param_groups\":[{\"params\":[0],\"lr\":0.5}]}")
                == "param_groups.0.lr differs from others: options are the same for all groups")
        #expect(
            complaint([], nil)
                == "__metadata__.state_dict is required: the JSON of what is no tensor")
        #expect(
            complaint([], "{")?.hasPrefix("__metadata__.state_dict is not JSON: ") == true)
        #expect(complaint([], "{\"state\":{}}") == "param_groups is required")
    }

    @Test("is malformed when it is cut off anywhere")
    func truncated() throws {
        let bytes = try make(state(), .float64).safetensors
        for count in 0..<bytes.count {
            #expect(isMalformed(Array(bytes[..<count])) { try StateDict(safetensors: $0) })
        }
    }
}
