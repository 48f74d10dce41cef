import LBFGS
import Parallel

/// sum_i e_i x_i^2 / 2 with eigenvalues from 1 to 1e4, scaled up so that no run comes near the
/// engine's absolute bound on curvature: what the peers minimise in `peers.c`.
private struct Valley<Scalar: EngineScalar> {
    let eigenvalues: [Scalar]

    init(_ count: Int) {
        eigenvalues = (0..<count).map { Scalar(1e3 * (1 + 9999 * Double($0) / Double(count))) }
    }

    /// Writes the gradient into memory that is used again, as a caller with care would.
    func evaluate(_ x: [Scalar], into gradient: inout [Scalar]) -> Double {
        var loss = 0.0
        for index in x.indices {
            let slope = eigenvalues[index] * x[index]
            gradient[index] = slope
            loss += Double(slope) * Double(x[index]) / 2
        }
        return loss
    }
}

/// Runs the engine on a valley of `count` numbers and writes the nanoseconds that it took from each
/// answer to the next question, evaluations apart; the first `skipped` are left out.
private func measure<Scalar: EngineScalar>(
    _: Scalar.Type, count: Int, history: Int, historyDType: HistoryDType?, threads: Int,
    searches: Bool, skipped: Int, into times: UnsafeMutableBufferPointer<Double>
) -> Int {
    let valley = Valley<Scalar>(count)
    let options = Options(
        maxIterations: .max, maxEvaluations: .max, toleranceGradient: 0, toleranceChange: 0,
        historySize: history, historyDType: historyDType,
        lineSearch: searches ? .strongWolfe : nil)
    guard
        var optimizer = try? Optimizer([Scalar](repeating: 1, count: count), options: options)
    else { return 0 }
    if threads > 1 {
        optimizer.executor = BlockExecutor(width: threads) { count, body in
            forEachIndex(count, width: threads, body)
        }
    }
    // The engine holds the newest gradients, so that these take turns.
    var gradients = [[Scalar]](repeating: [], count: 6)
    for index in gradients.indices { gradients[index] = [Scalar](repeating: 0, count: count) }
    let clock = ContinuousClock()
    var written = 0
    var turn = 0
    var iteration = 0
    var directive = optimizer.beginStep()
    while case .evaluate(let trial) = directive, written < times.count {
        let slot = turn % gradients.count
        let loss = valley.evaluate(optimizer.trialPoint, into: &gradients[slot])
        let began = clock.now
        directive = optimizer.advance(loss: loss, gradient: gradients[slot])
        let took = began.duration(to: clock.now)
        turn += 1
        // Trials within a line search aren't iterations.
        guard case .evaluate(let next) = directive, next.iteration > iteration else { continue }
        iteration = next.iteration
        _ = trial
        if iteration > skipped {
            // Sound: `written` is below the count.
            unsafe times[written] =
                Double(took.components.attoseconds) / 1e9
                + Double(took.components.seconds) * 1e9
            written += 1
        }
    }
    return written
}

/// Returns how many times it wrote. `dtype`: 0 float64, 1 float32; `historyDType`: also 2 bfloat16.
@_cdecl("lbfgsd_engine_times")
public func engineTimes(
    dtype: Int32, historyDType: Int32, count: Int, history: Int, threads: Int32, searches: Int32,
    skipped: Int, times: UnsafeMutablePointer<Double>, timesMax: Int
) -> Int {
    let stored = HistoryDType.allCases[Int(historyDType)]
    // Sound: the caller has room for `timesMax` numbers.
    let times = unsafe UnsafeMutableBufferPointer(start: times, count: timesMax)
    if dtype == 0 {
        return unsafe measure(
            Double.self, count: count, history: history, historyDType: stored,
            threads: Int(threads), searches: searches != 0, skipped: skipped, into: times)
    }
    return unsafe measure(
        Float.self, count: count, history: history, historyDType: stored, threads: Int(threads),
        searches: searches != 0, skipped: skipped, into: times)
}
