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

/// How the engine is run.
private enum Setting: Int32 {
    /// Mode `torch` without a line search.
    case fixedStep
    /// Mode `torch` with strong Wolfe.
    case strongWolfe
    /// Mode `robust` with its defaults. The following differ from it by their bounds alone.
    case robust
    /// Bounds that no iterate reaches.
    case inactiveBounds
    /// Every other parameter starts at its lower bound, where the gradient holds it.
    case halfActiveBounds
    /// Every other parameter has a lower bound of half its start, which it reaches during the run.
    case reachedBounds

    func options(_ history: Int, _ historyDType: HistoryDType?) -> Options {
        Options(
            maxIterations: .max, maxEvaluations: .max, toleranceGradient: 0, toleranceChange: 0,
            historySize: history, historyDType: historyDType,
            lineSearch: self == .strongWolfe ? .strongWolfe : nil,
            mode: self == .fixedStep || self == .strongWolfe ? .torch : .robust)
    }

    /// The bounds of parameters that start at 1 and whose minimum is 0.
    func bounds<Scalar>(count: Int) throws(BoundsError) -> Bounds<Scalar> {
        func everyOther(_ bound: Double) throws(BoundsError) -> Bounds<Scalar> {
            try Bounds(
                lower: .each((0..<count).map { $0 % 2 == 0 ? bound : -.infinity }), upper: .none,
                count: count)
        }
        switch self {
        case .fixedStep, .strongWolfe, .robust: return .none
        case .inactiveBounds:
            return try Bounds(
                lower: .each([Double](repeating: -1e3, count: count)),
                upper: .each([Double](repeating: 1e3, count: count)), count: count)
        case .halfActiveBounds: return try everyOther(1)
        case .reachedBounds: return try everyOther(0.5)
        }
    }
}

/// Runs the engine on a quadratic of `count` numbers. Writes the nanoseconds from each answer that
/// ended an iteration to the next directive, without those of the first `skipped` iterations.
private func measure<Scalar: EngineScalar>(
    _: Scalar.Type, count: Int, history: Int, historyDType: HistoryDType?, threads: Int,
    setting: Setting, skipped: Int, into times: UnsafeMutableBufferPointer<Double>
) -> Int {
    let quadratic = Quadratic<Scalar>(count)
    guard
        var optimizer = try? Optimizer(
            [Scalar](repeating: 1, count: count), options: setting.options(history, historyDType)),
        let bounds: Bounds<Scalar> = try? setting.bounds(count: count),
        (try? optimizer.setBounds(bounds)) != nil
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
///   - setting: The number of a `Setting`.
///   - skipped: The iterations that are not measured.
///   - times: Memory for `timesMax` numbers, in nanoseconds.
///   - timesMax: The most iterations to measure.
/// - Returns: The number of times written.
@_cdecl("lbfgsd_engine_times")
public func engineTimes(
    dtype: Int32, historyDType: Int32, count: Int, history: Int, threads: Int32, setting: Int32,
    skipped: Int, times: UnsafeMutablePointer<Double>, timesMax: Int
) -> Int {
    guard let setting = Setting(rawValue: setting) else { return 0 }
    let stored = HistoryDType.allCases[Int(historyDType)]
    // Sound: the caller has memory for `timesMax` numbers.
    let times = unsafe UnsafeMutableBufferPointer(start: times, count: timesMax)
    if dtype == 0 {
        return unsafe measure(
            Double.self, count: count, history: history, historyDType: stored,
            threads: Int(threads), setting: setting, skipped: skipped, into: times)
    }
    return unsafe measure(
        Float.self, count: count, history: history, historyDType: stored, threads: Int(threads),
        setting: setting, skipped: skipped, into: times)
}
