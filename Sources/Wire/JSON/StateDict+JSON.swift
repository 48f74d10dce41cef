public import Sessions

// torch's state dict in torch's words, with flat vectors for tensors: all state sits under the
// first parameter.

extension StateDict {
    public init(json: [UInt8]) throws(WireError) {
        let body = try JSONField(document: json).object(known: ["state", "param_groups"])
        let states = try body.required("state").object(known: ["0"])
        let groups = try body.required("param_groups")
        let group = try groups.elements()
        guard group.count == 1 else {
            throw groups.fails("must have one group, not \(group.count)")
        }
        let fields = try group[0].object(
            known: OptionsPatch.names.filter { $0 != "mode" } + ["params", "param_names"])
        var options = try OptionsPatch(fields.replacingListedRate(), isCreation: false)
        options.mode = nil
        self.init(
            state: try states["0"].map { field throws(WireError) in try TorchState(field) },
            options: options, params: try fields.required("params").integers(),
            paramNames: try fields.present("param_names")?.strings())
    }

    public var json: [UInt8] {
        JSONText.object { text in
            text.field("state") { text in
                if let state { text.field("0") { $0.write(state) } }
            }
            text.field("param_groups", array: [self]) { text, dict in
                text.object { $0.writeGroup(of: dict) }
            }
        }
    }
}

extension JSONFields {
    /// torch allows the learning rate to be a tensor, which `tolist` makes a list of one.
    fileprivate func replacingListedRate() throws(WireError) -> JSONFields {
        guard let rate = self["lr"] else { return self }
        switch rate.value {
        case .array, .numbers:
            let numbers = try rate.numbers()
            guard numbers.count == 1 else { throw rate.fails("must be one number") }
            return replacing("lr", with: .number(numbers[0]))
        case .null, .boolean, .integer, .number, .overflow, .string, .object:
            return self
        }
    }
}

extension TorchState<Double> {
    fileprivate init(_ field: JSONField) throws(WireError) {
        let fields = try field.object(known: [
            "func_evals", "n_iter", "d", "t", "old_dirs", "old_stps", "ro", "H_diag",
            "prev_flat_grad", "prev_loss", "al",
        ])
        self.init(
            funcEvals: try fields.required("func_evals").integer(),
            nIter: try fields.required("n_iter").integer(),
            d: try fields.present("d")?.numbers(), t: try fields.present("t")?.number(),
            oldDirs: try fields.present("old_dirs")?.vectors(),
            oldStps: try fields.present("old_stps")?.vectors(),
            ro: try fields.present("ro")?.numbers(),
            hDiag: try fields.present("H_diag")?.number(),
            prevFlatGrad: try fields.present("prev_flat_grad")?.numbers(),
            prevLoss: try fields.present("prev_loss")?.number(),
            al: try fields.present("al")?.optionalNumbers())
    }
}

extension JSONField {
    fileprivate func vectors() throws(WireError) -> [[Double]] {
        var vectors: [[Double]] = []
        for element in try elements() { vectors.append(try element.numbers()) }
        return vectors
    }

    fileprivate func optionalNumbers() throws(WireError) -> [Double?] {
        var numbers: [Double?] = []
        for element in try elements() {
            numbers.append(element.isNull ? nil : try element.number())
        }
        return numbers
    }
}

extension JSONText {
    /// A key that torch wouldn't have yet is left out.
    fileprivate mutating func write(_ state: TorchState<Double>) {
        field("func_evals", state.funcEvals)
        field("n_iter", state.nIter)
        if let d = state.d { field("d", numbers: d) }
        if let t = state.t { field("t", t) }
        if let oldDirs = state.oldDirs { field("old_dirs", array: oldDirs) { $0.numbers($1) } }
        if let oldStps = state.oldStps { field("old_stps", array: oldStps) { $0.numbers($1) } }
        if let ro = state.ro { field("ro", numbers: ro) }
        if let hDiag = state.hDiag { field("H_diag", hDiag) }
        if let prevFlatGrad = state.prevFlatGrad {
            field("prev_flat_grad", numbers: prevFlatGrad)
        }
        if let prevLoss = state.prevLoss { field("prev_loss", prevLoss) }
        if let al = state.al {
            field("al", array: al) { text, alpha in
                if let alpha { text.number(alpha) } else { text.null() }
            }
        }
    }

    fileprivate mutating func writeGroup(of dict: StateDict) {
        let options = dict.options
        if let lr = options.lr { field("lr", lr) }
        if let maxIterations = options.maxIterations { field("max_iter", maxIterations) }
        if let maxEvaluations = options.maxEvaluations { field("max_eval", maxEvaluations) }
        if let tolerance = options.toleranceGradient { field("tolerance_grad", tolerance) }
        if let tolerance = options.toleranceChange { field("tolerance_change", tolerance) }
        if let historySize = options.historySize { field("history_size", historySize) }
        if let lineSearch = options.lineSearch { field("line_search_fn", lineSearch?.rawValue) }
        field("params", array: dict.params) { $0.integer($1) }
        if let names = dict.paramNames { field("param_names", array: names) { $0.string($1) } }
    }
}
