// Compares a state dict with a session: what torch's `load_state_dict` refuses, and what would make
// the engine fail later. All errors are reported together.

extension StateDict {
    /// The dict with its parameters in the session's order.
    func checked(
        against state: SessionState, matching: StateDictMatching
    ) throws(SessionError) -> StateDict {
        let layout = state.layout
        var errors: [FieldError] = []
        func wrong(_ field: String, _ reason: String) {
            errors.append(FieldError(field: field, reason: reason))
        }
        if let dtype, dtype != state.dtype {
            wrong(
                "state.0",
                "has \(dtype.rawValue) vectors; this session has \(state.dtype.rawValue)")
        }
        if let maximize = options.maximize, maximize != state.scalars.isMaximizing {
            wrong("param_groups[0].maximize", "is \(!maximize) in this session")
        }
        if groups.count != layout.groups.count {
            wrong(
                "param_groups",
                "has \(groups.count) groups; this session has \(layout.groups.count)")
        }
        for (index, (group, own)) in zip(groups, layout.groups).enumerated() {
            let field = "param_groups[\(index)]"
            let count = own.parameters.count
            if group.params.count != count {
                wrong(
                    "\(field).params",
                    "has \(group.params.count) parameters; this session's group has \(count)")
            }
            if let names = group.paramNames, names.count != group.params.count {
                wrong(
                    "\(field).param_names",
                    "has \(names.count) names for \(group.params.count) parameters")
            }
        }
        errors += lengthErrors(count: layout.count)
        var dict = self
        if matching == .name && errors.isEmpty {
            do throws(SessionError) {
                dict = try matchedByName(layout)
            } catch .invalid(let mismatches) {
                errors += mismatches
            }
        } else if errors.isEmpty {
            let names = groups.compactMap(\.paramNames).flatMap { $0 }
            if !names.isEmpty && names.count != layout.parameters.count {
                wrong("param_groups", "must name the parameters of all groups or of none")
            }
            if Set(names).count != names.count {
                wrong("param_groups", "names two parameters alike")
            }
            for (index, group) in groups.enumerated()
            where group.paramNames?.contains(ParameterSpec.reservedName) == true {
                wrong("param_groups[\(index)].param_names", ParameterSpec.isReserved)
            }
        }
        guard errors.isEmpty else { throw .invalid(errors) }
        return dict
    }

    /// Vectors of the wrong length, and keys that must be there and aren't.
    private func lengthErrors(count: Int) -> [FieldError] {
        guard let state else { return [] }
        var errors: [FieldError] = []
        func check(_ vector: [Double]?, _ key: String) {
            guard let vector, vector.count != count else { return }
            errors.append(
                FieldError(
                    field: "state.0.\(key)",
                    reason: "has \(vector.count) numbers; the parameters have \(count)"))
        }
        check(state.d, "d")
        check(state.prevFlatGrad, "prev_flat_grad")
        for (index, vector) in (state.oldDirs ?? []).enumerated() {
            check(vector, "old_dirs[\(index)]")
        }
        for (index, vector) in (state.oldStps ?? []).enumerated() {
            check(vector, "old_stps[\(index)]")
        }
        if state.nIter > 0 {
            let needed: [(String, Bool)] = [
                ("d", state.d == nil), ("t", state.t == nil),
                ("old_dirs", state.oldDirs == nil), ("old_stps", state.oldStps == nil),
                ("H_diag", state.hDiag == nil), ("prev_flat_grad", state.prevFlatGrad == nil),
                ("prev_loss", state.prevLoss == nil),
            ]
            errors += needed.filter(\.1).map { key, _ in
                FieldError(
                    field: "state.0.\(key)", reason: "is missing: n_iter is \(state.nIter)")
            }
        }
        return errors
    }

    /// - Precondition: the groups have the session's sizes, and the vectors its length.
    private func matchedByName(_ layout: Layout) throws(SessionError) -> StateDict {
        guard layout.isNamed else {
            throw .invalid([
                FieldError(
                    field: "query.match", reason: "needs a session whose parameters have names")
            ])
        }
        var errors: [FieldError] = []
        // For each of the session's parameters the one in the dict.
        var sources = [Int](repeating: 0, count: layout.parameters.count)
        for (index, (group, own)) in zip(groups, layout.groups).enumerated() {
            let field = "param_groups[\(index)].param_names"
            guard let names = group.paramNames else {
                errors.append(FieldError(field: field, reason: "is missing"))
                continue
            }
            let wanted = layout.parameters[own.parameters].compactMap(\.name)
            for name in wanted where !names.contains(name) {
                errors.append(FieldError(field: field, reason: "\(name) is missing"))
            }
            for name in names where !wanted.contains(name) {
                errors.append(FieldError(field: field, reason: "\(name) is unexpected"))
            }
            for (offset, name) in wanted.enumerated() {
                if let source = names.firstIndex(of: name) {
                    sources[own.parameters.lowerBound + offset] =
                        own.parameters.lowerBound + source
                }
            }
        }
        guard errors.isEmpty else { throw .invalid(errors) }
        return reordered(sources, layout)
    }

    private func reordered(_ sources: [Int], _ layout: Layout) -> StateDict {
        // Where each of the dict's parameters lies in its vectors: of the size that the session's
        // parameter of that name has.
        var counts = [Int](repeating: 0, count: sources.count)
        for (own, source) in sources.enumerated() {
            counts[source] = layout.parameters[own].count
        }
        var starts = [0]
        for count in counts { starts.append((starts.last ?? 0) + count) }
        func reorder(_ vector: [Double]) -> [Double] {
            sources.flatMap { vector[starts[$0]..<starts[$0 + 1]] }
        }
        var dict = self
        dict.state = state.map { state in
            var state = state
            state.d = state.d.map(reorder)
            state.prevFlatGrad = state.prevFlatGrad.map(reorder)
            state.oldDirs = state.oldDirs?.map(reorder)
            state.oldStps = state.oldStps?.map(reorder)
            return state
        }
        for index in dict.groups.indices {
            let own = layout.groups[index].parameters
            dict.groups[index].paramNames = layout.parameters[own].compactMap(\.name)
        }
        return dict
    }
}
