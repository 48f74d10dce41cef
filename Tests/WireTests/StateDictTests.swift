import SessionModel
import Testing
import Wire

private func make(lineSearch: Options.LineSearchFunction? = .strongWolfe) -> StateDict {
    var options = OptionsPatch()
    options.lr = 0.5
    options.maxIterations = 4
    options.maxEvaluations = 5
    options.toleranceGradient = 0
    options.toleranceChange = 1e-9
    options.historySize = 3
    options.lineSearch = .some(lineSearch)
    let state = TorchState<Double>(
        funcEvals: 7, nIter: 3, d: [0.1, -0.0], t: 1, oldDirs: [[1, 2], [3, 4]],
        oldStps: [[.leastNonzeroMagnitude, 6], [7, 8]], ro: [0.25, 0.5], hDiag: 1.5,
        prevFlatGrad: [1, -1],
        prevLoss: -.infinity, al: [0.5, -0.5, nil])
    return StateDict(
        state: state, options: options,
        groups: [.init(params: [0, 1], paramNames: ["w", "NaN"])])
}

@Suite("A state dict")
struct StateDictTests {
    @Test("has torch's words")
    func words() {
        #expect(
            text(make().json) == """
                {"state":{"0":{"func_evals":7,"n_iter":3,"d":[0.1,-0.0],"t":1.0,\
                "old_dirs":[[1.0,2.0],[3.0,4.0]],"old_stps":[[5e-324,6.0],[7.0,8.0]],\
                "ro":[0.25,0.5],"H_diag":1.5,"prev_flat_grad":[1.0,-1.0],\
                "prev_loss":"-Infinity","al":[0.5,-0.5,null]}},\
                "param_groups":[{"lr":0.5,"max_iter":4,"max_eval":5,"tolerance_grad":0.0,\
                "tolerance_change":1e-09,"history_size":3,"line_search_fn":"strong_wolfe",\
                "params":[0,1],"param_names":["w","NaN"]}]}
                """)
    }

    @Test("comes back as it went")
    func roundTrip() throws {
        for dict in [make(), make(lineSearch: nil)] {
            #expect(try StateDict(json: dict.json) == dict)
        }
    }

    @Test("is empty before the first evaluation")
    func empty() throws {
        let dict = StateDict(state: nil, options: OptionsPatch(), groups: [.init(params: [0])])
        #expect(text(dict.json) == "{\"state\":{},\"param_groups\":[{\"params\":[0]}]}")
        #expect(try StateDict(json: dict.json) == dict)
    }

    @Test("may have its learning rate in a list, and null for what is not there yet")
    func leniency() throws {
        let json = """
            {"state": {"0": {"func_evals": 1, "n_iter": 0, "d": null, "old_dirs": null}},
             "param_groups": [{"lr": [0.25], "params": [0], "param_names": null}]}
            """
        let dict = try StateDict(json: utf8(json))
        #expect(dict.options.lr == 0.25 && dict.groups[0].paramNames == nil)
        #expect(dict.state == TorchState(funcEvals: 1, nIter: 0))
    }

    @Test("is malformed when it is cut off anywhere")
    func truncated() {
        let bytes = make().json
        for count in 0..<bytes.count {
            #expect(isMalformed(Array(bytes[..<count]), { try StateDict(json: $0) }))
        }
    }
}
