import LBFGS
import Parallel

/// The function sum_i e_i x_i^2 / 2 that the peers minimise in `peers.c`. Its eigenvalues, 1 to
/// 1e4, are scaled up so that no run comes near the engine's absolute bound on curvature.
private struct Quadratic<Scalar: EngineScalar> {
    let eigenvalues: [Scalar]

    init(_ count: Int) {
        eigenvalues = (0..<count).map { Scalar(1e3 * (1 + 9999 * Double($0) / Double(count))) }
    }

    /// Writes the gradient to memory that is used again, as an efficient caller does.
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

/// Runs the engine on a quadratic of `count` numbers. Writes the nanoseconds from each answer that
/// ended an iteration to the next directive, without those of the first `skipped` iterations.
private func measure<Scalar: EngineScalar>(
    _: Scalar.Type, count: Int, history: Int, historyDType: HistoryDType?, threads: Int,
    searches: Bool, skipped: Int, into times: UnsafeMutableBufferPointer<Double>
) -> Int {
    let quadratic = Quadratic<Scalar>(count)
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
    // The engine keeps the newest gradients, so several buffers are used in rotation.
    var gradients = [[Scalar]](repeating: [], count: 6)
    for index in gradients.indices { gradients[index] = [Scalar](repeating: 0, count: count) }
    let clock = ContinuousClock()
    var written = 0
    var evaluation = 0
    var iteration = 0
    var directive = optimizer.beginStep()
    while case .evaluate(let trial) = directive, written < times.count {
        let slot = evaluation % gradients.count
        let loss = quadratic.evaluate(optimizer.trialPoint, into: &gradients[slot])
        let began = clock.now
        directive = optimizer.advance(loss: loss, gradient: gradients[slot])
        let took = began.duration(to: clock.now)
        evaluation += 1
        // Trials within a line search are left out.
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

/// The benchmark's entry point for its Python driver.
/// - Parameters:
///   - dtype: 0 for float64, 1 for float32.
///   - historyDType: The precision of pairs: likewise, or 2 for bfloat16.
///   - count: The number of parameters.
///   - history: The most curvature pairs.
///   - threads: The most threads of a pass.
///   - searches: Whether a line search is used.
///   - skipped: The iterations that are not measured.
///   - times: Memory for `timesMax` numbers, in nanoseconds.
///   - timesMax: The most iterations to measure.
/// - Returns: The number of times written.
@_cdecl("lbfgsd_engine_times")
public func engineTimes(
    dtype: Int32, historyDType: Int32, count: Int, history: Int, threads: Int32, searches: Int32,
    skipped: Int, times: UnsafeMutablePointer<Double>, timesMax: Int
) -> Int {
    let stored = HistoryDType.allCases[Int(historyDType)]
    // Sound: the caller has memory for `timesMax` numbers.
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
