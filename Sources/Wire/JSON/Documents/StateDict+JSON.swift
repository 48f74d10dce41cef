public import SessionModel

// torch's state dict in torch's words, with flat vectors for tensors: all state sits under the
// first parameter.

extension StateDict {
    public init(json: [UInt8]) throws(WireError) { try self.init(JSONDocument(json)) }

    public init(_ document: JSONDocument) throws(WireError) {
        try self.init(JSONField(document))
    }

    init(_ field: JSONField) throws(WireError) {
        let body = try field.object(known: ["state", "param_groups"])
        let states = try body.required("state").object(known: ["0"])
        let (options, groups) = try StateDict.groups(body.required("param_groups"))
        self.init(
            state: try states["0"].map { field throws(WireError) in try TorchState(field) },
            options: options, groups: groups)
    }

    /// Reads the groups and their options, which are the same for all: options are global.
    static func groups(
        _ field: JSONField
    ) throws(WireError) -> (options: OptionsPatch, groups: [Group]) {
        var options: OptionsPatch?
        var groups: [Group] = []
        for element in try field.elements() {
            let fields = try element.object(
                known: OptionsPatch.torchNames + ["params", "param_names", "name", "frozen"])
            var own = try OptionsPatch(fields.replacingListedRate(), isCreation: false)
            own.mode = nil
            guard own == options ?? own else {
                throw element.fails("has options of its own: they are the same for all groups")
            }
            options = own
            groups.append(
                Group(
                    params: try fields.required("params").integers(),
                    paramNames: try fields.present("param_names")?.strings(),
                    name: try fields.present("name")?.string(),
                    isFrozen: try fields.present("frozen")?.boolean()))
        }
        guard let options else { throw field.fails("must have at least one group") }
        return (options, groups)
    }

    public var json: [UInt8] { JSONText.object { $0.write(self) } }
}

extension JSONText {
    /// Writes the dict's members.
    mutating func write(_ dict: StateDict) {
        field("state") { text in
            if let state = dict.state { text.field("0") { $0.write(state) } }
        }
        write(groupsOf: dict)
    }

    /// `param_groups`
    mutating func write(groupsOf dict: StateDict) {
        field("param_groups", array: dict.groups) { text, group in
            text.object { $0.write(group, dict.options) }
        }
    }
}

extension JSONFields {
    /// torch allows a tensor as the learning rate, which `tolist` turns into a list of one number.
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
    /// Leaves out keys that torch wouldn't have yet.
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

    private mutating func write(_ group: StateDict.Group, _ options: OptionsPatch) {
        if let lr = options.lr { field("lr", lr) }
        if let maxIterations = options.maxIterations { field("max_iter", maxIterations) }
        if let maxEvaluations = options.maxEvaluations { field("max_eval", maxEvaluations) }
        if let tolerance = options.toleranceGradient { field("tolerance_grad", tolerance) }
        if let tolerance = options.toleranceChange { field("tolerance_change", tolerance) }
        if let historySize = options.historySize { field("history_size", historySize) }
        if let lineSearch = options.lineSearch { field("line_search_fn", lineSearch?.rawValue) }
        if let maximize = options.maximize { field("maximize", maximize) }
        field("params", array: group.params) { $0.integer($1) }
        if let names = group.paramNames { field("param_names", array: names) { $0.string($1) } }
        // torch has neither; it keeps keys that it doesn't know.
        if let name = group.name { field("name", name) }
        if let isFrozen = group.isFrozen, isFrozen { field("frozen", isFrozen) }
    }
}
