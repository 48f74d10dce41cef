extension Layout {
    /// Checks that the parameters can be counted, that their names differ, and that the groups
    /// cover them in order. Nothing else may be asked of a layout before.
    func validate(_ path: String) throws(UnreadableSnapshot) {
        try require(!parameters.isEmpty, "\(path).parameters", "must not be empty")
        var total = 0
        var names: Set<String> = []
        for (index, spec) in parameters.enumerated() {
            let field = "\(path).parameters[\(index)]"
            let (sum, overflow) = total.addingReportingOverflow(
                try spec.checkedCount("\(field).shape"))
            // The bytes of a vector, and of a pair, can be counted too.
            try require(
                !overflow && sum <= .max / 64, "\(field).shape", "has too many numbers")
            total = sum
            try require(
                (spec.name == nil) == (parameters[0].name == nil), "\(field).name",
                "must be there for all parameters or for none")
            if let name = spec.name {
                try require(names.insert(name).inserted, "\(field).name", "comes twice")
            }
        }
        var end = 0
        for (index, group) in groups.enumerated() {
            try require(
                group.parameters.lowerBound == end, "\(path).groups[\(index)].parameters",
                "must begin at \(end), not at \(group.parameters.lowerBound)")
            end = group.parameters.upperBound
        }
        try require(
            end == parameters.count, "\(path).groups",
            "must have the \(parameters.count) parameters, not \(end)")
    }
}

extension ParameterSpec {
    fileprivate func checkedCount(
        _ field: @autoclosure () -> String
    ) throws(UnreadableSnapshot) -> Int {
        var count = 1
        try require(
            shape.count <= TensorHeader.rankMax, field(),
            "must have at most \(TensorHeader.rankMax) dimensions")
        for dimension in shape {
            let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
            try require(
                dimension >= 1 && !overflow, field(),
                "must have dimensions of at least 1, with a product that fits in 64 bits")
            count = product
        }
        return count
    }
}
