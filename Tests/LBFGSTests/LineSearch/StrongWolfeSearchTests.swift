import LBFGS
import Testing

/// Runs a search on phi until it accepts; returns the trials' step lengths too.
private func run(
    stepLength: Double, extraTrialsMax: Int = 25, _ phi: (Double) -> (loss: Double, slope: Double)
) -> (accepted: LineSearchPoint, trials: [Double]) {
    let start = phi(0)
    var search = StrongWolfeSearch(
        loss: start.loss, slope: start.slope, stepLength: stepLength,
        directionNormInf: 1, extraTrialsMax: extraTrialsMax)
    var directive = LineSearchDirective.evaluate(stepLength: search.pendingStepLength)
    var trials: [Double] = []
    while true {
        switch directive {
        case .evaluate(let stepLength):
            trials.append(stepLength)
            let (loss, slope) = phi(stepLength)
            directive = search.advance(loss: loss, slope: slope)
        case .accept(let point):
            return (point, trials)
        case .giveUp:
            preconditionFailure("torch's search stays at its start rather than give up")
        }
    }
}

private func parabola(minimum: Double) -> (Double) -> (loss: Double, slope: Double) {
    { t in ((t - minimum) * (t - minimum), 2 * (t - minimum)) }
}

struct StrongWolfeSearchTests {
    @Test func `a good first trial is accepted at once`() {
        let (accepted, trials) = run(stepLength: 1, parabola(minimum: 1.1))
        #expect(trials == [1])
        #expect(accepted.trial == 1 && accepted.stepLength == 1)
    }

    @Test func `a short first trial is extended to the cubic's minimum`() {
        let (accepted, trials) = run(stepLength: 0.01, parabola(minimum: 1))
        #expect(trials[1] == 0.1, "at most ten times the last trial")
        #expect(abs(accepted.slope) <= 0.9 * 2)
    }

    @Test func `a long first trial is cut back by zoom`() {
        let (accepted, trials) = run(stepLength: 100, parabola(minimum: 1))
        #expect(trials.count == 2)
        #expect(abs(accepted.stepLength - 1) < 9)
        #expect(accepted.loss < 1)
    }

    @Test func `an infeasible region is left by halves, and the result is feasible`() {
        let (accepted, trials) = run(stepLength: 64) { t in
            t > 3 ? (.nan, .nan) : parabola(minimum: 2)(t)
        }
        #expect(trials.prefix(6) == [64, 32, 16, 8, 4, 2])
        #expect(accepted.isFeasible && accepted.loss < 4)
    }

    @Test(arguments: [Double.nan, .infinity, -.infinity])
    func `an infinite loss or slope counts as infeasible whatever its sign`(value: Double) {
        let (byLoss, _) = run(stepLength: 8) { t in t > 3 ? (value, -1) : parabola(minimum: 2)(t) }
        let (bySlope, _) = run(stepLength: 8) { t in t > 3 ? (0, value) : parabola(minimum: 2)(t) }
        #expect(byLoss.stepLength <= 3 && byLoss.stepLength > 0)
        #expect(bySlope.stepLength <= 3 && bySlope.stepLength > 0)
    }

    @Test(arguments: 0..<8)
    func `a spent budget gives the best of the ends`(budget: Int) {
        let (accepted, trials) = run(stepLength: 64, extraTrialsMax: budget) { t in
            t > 0.01 ? (.infinity, .nan) : parabola(minimum: 2)(t)
        }
        #expect(trials.count == max(1, budget + 1))
        #expect(accepted.trial == 0 && accepted.stepLength == 0)
    }

    @Test
    func
        `when bracketing runs into an infeasible point at the end of its budget, the last good one is kept`()
    {
        let (accepted, trials) = run(stepLength: 1, extraTrialsMax: 1) { t in
            t > 5 ? (.nan, .nan) : (-t, -1)
        }
        #expect(trials == [1, 10])
        #expect(accepted.stepLength == 1)
    }

    @Test(arguments: [0.0, .leastNonzeroMagnitude, 1e-300, 1e300, .greatestFiniteMagnitude])
    func `extreme step lengths end within the budget`(stepLength: Double) {
        let lines: [(Double) -> (loss: Double, slope: Double)] = [
            parabola(minimum: 1), { _ in (loss: 0, slope: -1) }, { t in (loss: -t, slope: -1) },
        ]
        for phi in lines {
            let (accepted, trials) = run(stepLength: stepLength, phi)
            #expect(trials.count <= 27)
            #expect(accepted.loss <= phi(0).loss)
        }
    }

    @Test func `only trials that may still be accepted are retained`() {
        var search = StrongWolfeSearch(
            loss: 1, slope: -2, stepLength: 100, directionNormInf: 1,
            extraTrialsMax: 25)
        #expect(Array(search.retainedTrials) == [0])
        var feasible = search
        _ = feasible.advance(loss: 9801, slope: 198)
        #expect(feasible.retainedTrials.sorted() == [0, 1])
        _ = search.advance(loss: .nan, slope: .nan)
        #expect(Array(search.retainedTrials) == [0], "an infeasible end is never accepted")
    }
}
