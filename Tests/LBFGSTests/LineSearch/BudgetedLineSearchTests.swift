import LBFGS
import Testing

private let functions: [Options.LineSearchFunction] = [
    .hagerZhang, .moreThuente, .backtracking, .strongWolfe,
]
/// Those that ask for a flatter slope.
private let wolfeFunctions: [Options.LineSearchFunction] = [.hagerZhang, .moreThuente]

private enum Outcome: Equatable {
    case accepted(LineSearchPoint)
    case gaveUp(lower: Double, upper: Double)
}

/// Runs a search on phi until it ends; returns the trials' step lengths too.
private func run(
    _ function: Options.LineSearchFunction, stepLength: Double = 1, trialsMax: Int = 30,
    lossNoise: Double = 0, _ phi: (Double) -> (loss: Double, slope: Double)
) -> (outcome: Outcome, search: BudgetedLineSearch, trials: [Double]) {
    let start = phi(0)
    var search = BudgetedLineSearch(
        function,
        LineSearchSetting(
            loss: start.loss, slope: start.slope, lossNoise: lossNoise, stepLength: stepLength,
            directionNormInf: 1, trialsMax: trialsMax))
    var directive = LineSearchDirective.evaluate(stepLength: stepLength)
    var trials: [Double] = []
    while true {
        switch directive {
        case .evaluate(let stepLength):
            trials.append(stepLength)
            let (loss, slope) = phi(stepLength)
            directive = search.advance(loss: loss, slope: slope)
        case .accept(let point):
            return (.accepted(point), search, trials)
        case .giveUp(let lower, let upper):
            return (.gaveUp(lower: lower, upper: upper), search, trials)
        }
    }
}

private func accepted(_ outcome: Outcome) -> LineSearchPoint? {
    if case .accepted(let point) = outcome { return point }
    return nil
}

private func parabola(minimum: Double) -> (Double) -> (loss: Double, slope: Double) {
    { t in ((t - minimum) * (t - minimum), 2 * (t - minimum)) }
}

struct BudgetedLineSearchTests {
    @Test(arguments: functions)
    func `a good first trial is accepted at once`(function: Options.LineSearchFunction) throws {
        let (outcome, _, trials) = run(function, parabola(minimum: 1.1))
        #expect(trials == [1])
        #expect(try #require(accepted(outcome)).stepLength == 1)
    }

    @Test(arguments: wolfeFunctions, [1e-8, 1e-3, 1, 1e3, 1e5])
    func `the Wolfe conditions hold at what is accepted, from any first trial`(
        function: Options.LineSearchFunction, stepLength: Double
    ) throws {
        let lines: [(Double) -> (loss: Double, slope: Double)] = [
            parabola(minimum: 1),
            // Moré & Thuente 1994, equation 5.1 with beta = 2, and a quartic.
            { t in (-t / (t * t + 2), (t * t - 2) / ((t * t + 2) * (t * t + 2))) },
            { t in (t * t * t * t - t, 4 * t * t * t - 1) },
        ]
        for phi in lines {
            let start = phi(0)
            let point = try #require(
                accepted(run(function, stepLength: stepLength, phi).outcome))
            let decrease = start.loss + 1e-3 * point.stepLength * start.slope
            #expect(point.loss <= decrease || point.slope <= -0.998 * start.slope)
            #expect(point.slope >= 0.9 * start.slope)
            #expect(point.loss <= start.loss)
        }
    }

    @Test func `Hager and Zhang's search expands by rho, then takes the minimum inside`() {
        let (_, _, trials) = run(.hagerZhang, stepLength: 0.01, parabola(minimum: 1))
        #expect(trials.starts(with: [0.01, 0.05]))
        let (outcome, _, cut) = run(.hagerZhang, stepLength: 100, parabola(minimum: 1))
        #expect(cut.count == 2)
        #expect(abs((accepted(outcome)?.stepLength ?? 0) - 1) < 1e-9)
    }

    @Test func `where losses are equal but for noise, slopes decide`() throws {
        // A parabola whose loss is rounded to nothing.
        let phi: (Double) -> (loss: Double, slope: Double) = { t in (1, 2 * (t - 1) * 1e-10) }
        for function in wolfeFunctions {
            let point = try #require(
                accepted(run(function, stepLength: 3, lossNoise: 1e-12, phi).outcome))
            #expect(abs(point.slope) <= 0.9 * 2e-10)
        }
    }

    @Test(arguments: functions)
    func `an infeasible region is left for its feasible side`(
        function: Options.LineSearchFunction
    ) throws {
        for value in [Double.nan, .infinity, -.infinity] {
            let byLoss = run(function, stepLength: 64) { t in
                t > 3 ? (value, -1) : parabola(minimum: 2)(t)
            }
            let bySlope = run(function, stepLength: 64) { t in
                t > 3 ? (0, value) : parabola(minimum: 2)(t)
            }
            for result in [byLoss, bySlope] {
                let point = try #require(accepted(result.outcome))
                #expect(point.stepLength > 0 && point.stepLength <= 3 && point.loss < 4)
            }
        }
    }

    @Test(arguments: functions, [1, 2, 3, 7, 30])
    func `a search never takes more trials than it is allowed`(
        function: Options.LineSearchFunction, trialsMax: Int
    ) {
        let (outcome, search, trials) = run(function, trialsMax: trialsMax) { t in
            t > 0 ? (.nan, .nan) : (0, -1)
        }
        #expect(trials.count <= trialsMax)
        #expect(accepted(outcome) == nil)
        #expect(search.best.trial == 0 && search.feasibleTrials == 0)
    }

    @Test(arguments: functions)
    func `a loss that rises whatever its slope promises ends the search`(
        function: Options.LineSearchFunction
    ) {
        let (outcome, search, trials) = run(function) { t in (t, -1) }
        #expect(trials.count <= 30)
        #expect(accepted(outcome) == nil)
        #expect(search.best.trial == 0 && search.lowestTrialLoss > 0)
    }

    @Test(arguments: functions, [Double.leastNonzeroMagnitude, 1e-300, 1e300, 1.7e308])
    func `extreme step lengths end within the budget`(
        function: Options.LineSearchFunction, stepLength: Double
    ) {
        let lines: [(Double) -> (loss: Double, slope: Double)] = [
            parabola(minimum: 1), { _ in (0, -1) }, { t in (-t, -1) }, { t in (-t, -1e300) },
            { t in (t > 0 ? -.greatestFiniteMagnitude : 1, -1) },
        ]
        for phi in lines {
            let (_, search, trials) = run(function, stepLength: stepLength, phi)
            #expect(trials.count <= 30)
            #expect(trials.allSatisfy { $0 >= 0 && $0.isFinite })
            #expect(search.best.loss <= phi(0).loss)
        }
    }

    @Test(arguments: functions, 0..<20)
    func `whatever a search is told, it ends at a point that it has kept`(
        function: Options.LineSearchFunction, seed: UInt64
    ) {
        var generator = SplitMix64(state: seed)
        let values: [Double] = [
            0, -0.0, 1, -1, .nan, .infinity, -.infinity, 1e308, -1e308,
            Double.leastNonzeroMagnitude, 1e-16, -1e-16,
        ]
        func answer() -> Double {
            Bool.random(using: &generator)
                ? values[Int.random(in: values.indices, using: &generator)]
                : Double.random(in: -1...1, using: &generator)
        }
        for _ in 0..<50 {
            let setting = LineSearchSetting(
                loss: Double.random(in: -1...1, using: &generator), slope: -1e-3,
                lossNoise: Bool.random(using: &generator) ? 0 : 0.5, stepLength: 1,
                directionNormInf: 1, trialsMax: Int.random(in: 1...30, using: &generator))
            var search = BudgetedLineSearch(function, setting)
            var directive = LineSearchDirective.evaluate(stepLength: 1)
            var retained = RetainedTrials()
            var isSound = true
            while case .evaluate(let stepLength) = directive, isSound {
                retained = search.retainedTrials
                isSound =
                    search.trials < setting.trialsMax && search.best.loss <= setting.start.loss
                    && stepLength == search.pendingStepLength && stepLength.isFinite
                directive = search.advance(loss: answer(), slope: answer())
            }
            if case .accept(let point) = directive {
                isSound =
                    isSound && point.trial > 0 && point.isFeasible
                    && (retained.contains(point.trial) || point.trial == search.trials)
            }
            #expect(isSound, "seed \(seed): \(search)")
        }
    }
}
