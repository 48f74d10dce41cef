import LBFGS

/// One line for each case, with a fingerprint of all points at which the engine evaluates an exact
/// problem. The lines are the same in debug and release builds and on every machine, and are stored
/// in `Tests/TrajectoryBits/golden.txt`.
public func trajectoryBits() -> [String] {
    let problems: [Problem] = [
        .rosenbrock(2), .rosenbrock(10), .rosenbrock(1000), .quadratic(1, condition: 1),
        .quadratic(7, condition: 100), .quadratic(100, condition: 1e6),
        .quadratic(4099, condition: 1e3),
    ]
    var lines: [String] = []
    for problem in problems {
        for search in [Options.LineSearchFunction?.none, .strongWolfe] {
            for history in [3, 100] {
                let options = Options(
                    lr: search == nil ? 0.01 : 1, maxIterations: 12, historySize: history,
                    lineSearch: search)
                let label =
                    "\(problem.name) \(search?.rawValue ?? "none") history \(history)"
                lines.append("\(label) float64 \(bits(Double.self, problem, options))")
                lines.append("\(label) float32 \(bits(Float.self, problem, options))")
                let old = bits(Double.self, problem, options, numerics: 1)
                lines.append("\(label) float64 numerics 1 \(old)")
            }
        }
    }
    for problem in problems {
        for search in Options.LineSearchFunction.allCases {
            // The searches differ in scalars only, so that one of them suffices for long vectors.
            guard problem.start.count <= 100 || search == .hagerZhang else { continue }
            let options = Options(
                maxIterations: 12, historySize: 3, lineSearch: search, mode: .robust)
            let label = "\(problem.name) robust \(search.rawValue)"
            lines.append("\(label) float64 \(bits(Double.self, problem, options))")
            lines.append("\(label) float32 \(bits(Float.self, problem, options))")
        }
    }
    return lines + boundedTrajectoryBits(problems)
}

/// Trajectories with bounds and L1 terms.
private func boundedTrajectoryBits(_ problems: [Problem]) -> [String] {
    var lines: [String] = []
    for problem in problems {
        for search in Options.LineSearchFunction.allCases {
            guard problem.start.count <= 100 || search == .hagerZhang else { continue }
            let options = Options(
                maxIterations: 12, historySize: 3, lineSearch: search, mode: .robust)
            for (name, bound, weight) in [
                ("bounds", 0.6, 0), ("l1", .infinity, 0.5), ("both", 0.7, 2),
            ] {
                let label = "\(problem.name) \(name) \(search.rawValue)"
                let box = (bound, weight)
                lines.append("\(label) float64 \(bits(Double.self, problem, options, box: box))")
                lines.append("\(label) float32 \(bits(Float.self, problem, options, box: box))")
            }
        }
    }
    return lines
}

private func bits<Scalar: EngineScalar>(
    _: Scalar.Type, _ problem: Problem, _ options: Options, numerics: Int = numericsVersion,
    box: (bound: Double, weight: Double) = (.infinity, 0)
) -> String {
    var fingerprint = Fingerprint()
    var evaluations = 0
    do {
        var optimizer = try Optimizer(
            problem.start.map { Scalar($0) }, options: options, numerics: numerics)
        let count = problem.start.count
        try optimizer.setBounds(
            Bounds(
                lower: .uniform(-box.bound), upper: .uniform(box.bound / 2), count: count))
        try optimizer.setL1(L1Weights(.uniform(box.weight), count: count))
        for _ in 0..<3 {
            optimizer.step { point in
                evaluations += 1
                for number in point { fingerprint.add(Double(number)) }
                return problem.evaluate(at: point)
            }
        }
    } catch {
        preconditionFailure("the options are valid: \(error)")
    }
    return "\(evaluations) \(String(fingerprint.value, radix: 16))"
}
