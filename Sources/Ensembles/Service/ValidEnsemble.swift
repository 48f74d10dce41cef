internal import SessionModel
internal import Sessions

/// A request that passed all checks that don't need a session.
struct ValidEnsemble: Sendable {
    let specification: EnsembleSpecification
    let isGiven: Bool
    private let starts: [[Double]]

    init(_ specification: EnsembleSpecification, given starts: [[Double]]?) {
        self.specification = specification
        isGiven = starts != nil
        self.starts =
            starts
            ?? specification.starts.points(
                count: specification.count, dimensions: specification.parameterCount) ?? []
    }

    func start(_ number: Int) -> [Double] {
        guard !isGiven, let box = specification.box else { return starts[number] }
        return box.place(starts[number], as: specification.dtype)
    }
}

extension EnsembleRequest {
    func validated(_ limits: Limits) throws(SessionError) -> ValidEnsemble {
        var errors: [FieldError] = []
        func wrong(_ field: String, _ reason: String) {
            errors.append(FieldError(field: field, reason: reason))
        }
        try limits.checkMetadata(name: name, labels: labels)
        if let name, name.unicodeScalars.count > limits.nameLengthMax - 5 {
            wrong("name", "must have at most \(limits.nameLengthMax - 5) characters")
        }
        for label in [EnsembleSpecification.ensembleLabel, EnsembleSpecification.memberLabel]
        where labels[label] != nil {
            wrong("labels.\(label)", "is set by the server")
        }
        if labels.count > limits.labelsMax - 2 {
            wrong("labels", "has more than \(limits.labelsMax - 2) entries")
        }
        let members = memberCount
        if !(1...limits.ensembleMembersMax).contains(members) {
            wrong(
                countField, "must be from 1 to \(limits.ensembleMembersMax), not \(members)")
        }
        let specs = checkedParameters(limits, wrong)
        guard errors.isEmpty, let specs else { throw .invalid(errors) }
        let n = specs.reduce(0) { $0 + $1.count }
        if n > limits.ensembleNumbersMax / members {
            wrong(
                countField,
                "\(members) starts of \(n) numbers are more than \(limits.ensembleNumbersMax)")
            throw .invalid(errors)
        }
        let box = checkedBox(n, wrong)
        checkStarts(n, box, wrong)
        checkRules(wrong)
        guard errors.isEmpty else { throw .invalid(errors) }
        var specification = EnsembleSpecification(
            parameters: specs, count: members, starts: design)
        specification.name = name
        specification.labels = labels
        specification.dtype = dtype
        specification.box = box
        specification.isMaximizing = options.maximize ?? false
        specification.stop = stop
        specification.stagnation = stagnation
        specification.basin = basin
        specification.expiresAfter = try limits.expiresAfter(expiresAfter)
        return ValidEnsemble(specification, given: given)
    }

    private var given: [[Double]]? {
        if case .given(let starts) = starts { starts } else { nil }
    }

    private var design: StartDesign {
        if case .designed(let design, _) = starts { design } else { .given }
    }

    private var memberCount: Int {
        switch starts {
        case .given(let starts): starts.count
        case .designed(_, let count): count
        }
    }

    private var countField: String { given == nil ? "starts.count" : "starts" }

    /// nil if something is wrong.
    private func checkedParameters(
        _ limits: Limits, _ wrong: (String, String) -> Void
    ) -> [ParameterSpec]? {
        if let parameters {
            if count != nil {
                wrong("n", "says the same as params: give one of the two")
                return nil
            }
            var total = 0
            for (index, spec) in parameters.enumerated() {
                var size = 1
                for dimension in spec.shape {
                    let (product, overflow) = size.multipliedReportingOverflow(by: dimension)
                    size = overflow ? .max : product
                }
                let (sum, overflow) = total.addingReportingOverflow(size)
                total = overflow ? .max : sum
                if total > limits.ensembleNumbersMax {
                    wrong(
                        "params[\(index)].shape",
                        "takes the parameters beyond \(limits.ensembleNumbersMax) numbers")
                    return nil
                }
            }
            if parameters.isEmpty { wrong("params", "must have at least one parameter") }
            return parameters.isEmpty ? nil : parameters
        }
        guard let n = count ?? given?.first?.count else {
            wrong("n", "is required (or params): how many numbers a start has")
            return nil
        }
        guard (1...limits.ensembleNumbersMax).contains(n) else {
            let field = count == nil ? "starts[0]" : "n"
            wrong(field, "must be from 1 to \(limits.ensembleNumbersMax) numbers, not \(n)")
            return nil
        }
        return [ParameterSpec(name: nil, shape: [n])]
    }

    private func checkedBox(_ n: Int, _ wrong: (String, String) -> Void) -> SamplingBox? {
        guard let lower, let upper else {
            if lower == nil, upper == nil {
                if given == nil { wrong("lower", "is required: starts are drawn from a box") }
                return nil
            }
            wrong(lower == nil ? "lower" : "upper", "is required beside the other")
            return nil
        }
        var isWrong = false
        for (field, values) in [("lower", lower), ("upper", upper)]
        where values.count != 1 && values.count != n {
            wrong(field, "has \(values.count) numbers; must be one number or have \(n)")
            isWrong = true
        }
        guard !isWrong else { return nil }
        let box = SamplingBox(lower: lower, upper: upper)
        for index in 0..<n {
            let (low, high) = (box.lower(index), box.upper(index))
            let place = lower.count == 1 && upper.count == 1 ? "" : "[\(index)]"
            guard low <= high else {
                wrong("lower\(place)", "is \(low), which is not at most upper, \(high)")
                return nil
            }
            let isFinite =
                dtype == .float64
                ? (high - low).isFinite : Float(low).isFinite && Float(high).isFinite
            if !isFinite, given == nil {
                wrong(
                    "lower\(place)",
                    "and upper must be finite with a finite difference in \(dtype.rawValue): "
                        + "starts are drawn between them")
                return nil
            }
            if dtype == .float32, leastFloat(from: low) > high {
                wrong("lower\(place)", "and upper have no float32 number between them")
                return nil
            }
        }
        return box
    }

    private func checkStarts(
        _ n: Int, _ box: SamplingBox?, _ wrong: (String, String) -> Void
    ) {
        if let given {
            for (number, start) in given.enumerated() {
                guard start.count == n else {
                    wrong("starts[\(number)]", "has \(start.count) numbers; must have \(n)")
                    return
                }
                guard let box else { continue }
                if let index = start.indices.first(where: {
                    start[$0] < box.lower($0) || start[$0] > box.upper($0)
                }) {
                    wrong("starts[\(number)][\(index)]", "is outside of lower and upper")
                    return
                }
            }
            return
        }
        let seed: Int?
        switch design {
        case .given: seed = nil
        case .sobol(let given, let skip):
            seed = given
            if n > SobolSequence.dimensionsMax {
                wrong(
                    "starts.method",
                    "sobol has at most \(SobolSequence.dimensionsMax) dimensions, not \(n)")
            }
            if !(0...SobolSequence.pointsMax - memberCount).contains(skip) {
                wrong(
                    "starts.skip", "must be from 0 to \(SobolSequence.pointsMax - memberCount)")
            }
        case .latinHypercube(let given), .uniform(let given): seed = given
        }
        if let seed, !(0...(1 << 53)).contains(seed) {
            wrong("starts.seed", "must be from 0 to 2^53, not \(seed)")
        }
    }

    private func checkRules(_ wrong: (String, String) -> Void) {
        if let target = stop.target, !target.isFinite {
            wrong("stop.target", "must be a finite number")
        }
        if let evaluations = stop.evaluations, evaluations < 1 {
            wrong("stop.evaluations", "must be at least 1, not \(evaluations)")
        }
        if let rule = stagnation {
            if rule.evaluations < 1 {
                wrong(
                    "abandon.stagnation.evaluations",
                    "must be at least 1, not \(rule.evaluations)")
            }
            if !(rule.tolerance >= 0 && rule.tolerance.isFinite) {
                wrong("abandon.stagnation.tolerance", "must be a finite number of at least 0")
            }
        }
        if let rule = basin {
            if !(rule.distance >= 0 && rule.distance.isFinite) {
                wrong("abandon.same_basin.distance", "must be a finite number of at least 0")
            }
            if !(rule.loss >= 0 && rule.loss.isFinite) {
                wrong("abandon.same_basin.loss", "must be a finite number of at least 0")
            }
        }
    }
}

/// The least float32 number that is not below `low`.
private func leastFloat(from low: Double) -> Double {
    let rounded = Float(low)
    return Double(Double(rounded) < low ? rounded.nextUp : rounded)
}
