// The scalar state of an optimizer. Vectors are stored properties of `Optimizer` itself, because a
// long array inside an enum's payload is copied when the payload changes.
//
// All of it is stored in snapshots: coding keys that differ from a property's name are the names
// of the stored format.

/// What a running step waits for.
///
///     idle ----------------- beginStep --> evaluatingStart, or as from there if f, g are known
///     evaluatingStart ------ advance ----> evaluatingFixedStep | searching | idle
///     evaluatingFixedStep -- advance ----> evaluatingFixedStep | idle
///     searching ------------ advance ----> searching | idle
///     any but idle --------- stop -------> idle
enum StepPhase: Equatable, Sendable {
    /// No step is running.
    case idle
    /// The evaluation at the point where the step begins.
    case evaluatingStart
    /// The evaluation after a move by a fixed step length, without a line search.
    case evaluatingFixedStep(stepLength: Double)
    /// A trial of a line search.
    case searching(LineSearch)
}

extension StepPhase {
    /// - Parameter options: Those of the running step.
    func validate(_ path: String, _ options: Options) throws(SnapshotError) {
        let isOfMode: Bool
        switch self {
        case .idle, .evaluatingStart:
            isOfMode = true
        case .evaluatingFixedStep(let stepLength):
            try requireStepLength(stepLength, path + ".moving.stepLength")
            isOfMode = options.mode == .torch
        case .searching(.torch(let search)):
            try search.validate(path + ".searching")
            isOfMode = options.mode == .torch
        case .searching(.budgeted(let search)):
            try search.validate(path + ".probing")
            isOfMode = options.mode == .robust
        }
        try require(isOfMode, path, "is none of mode \(options.mode.rawValue)")
    }
}

extension StepPhase: Codable {
    /// The stored form, which has one case for each kind of line search.
    private enum Stored: Codable {
        case idle
        case opening
        case moving(stepLength: Double)
        case searching(StrongWolfeSearch)
        case probing(BudgetedLineSearch)
    }

    init(from decoder: any Decoder) throws {
        switch try Stored(from: decoder) {
        case .idle: self = .idle
        case .opening: self = .evaluatingStart
        case .moving(let stepLength): self = .evaluatingFixedStep(stepLength: stepLength)
        case .searching(let search): self = .searching(.torch(search))
        case .probing(let search): self = .searching(.budgeted(search))
        }
    }

    func encode(to encoder: any Encoder) throws {
        let stored: Stored =
            switch self {
            case .idle: .idle
            case .evaluatingStart: .opening
            case .evaluatingFixedStep(let stepLength): .moving(stepLength: stepLength)
            case .searching(.torch(let search)): .searching(search)
            case .searching(.budgeted(let search)): .probing(search)
            }
        try stored.encode(to: encoder)
    }
}

/// Where the lowest loss of the running step was seen.
enum BestLocation: Equatable, Sendable, Codable {
    /// At `parameters`.
    case current
    /// At this step length on the line that is being searched.
    case trial(stepLength: Double)
    /// At `bestPoint`, which is neither.
    case saved

    private enum CodingKeys: String, CodingKey {
        case current
        case trial
        case saved = "kept"
    }
}

/// What the running step, or the last one, has done so far.
struct StepProgress: Equatable, Sendable, Codable {
    /// The options as they were when the step began.
    var options: Options
    var iterations = 0
    var evaluations = 0
    /// The loss where the step began.
    var lossBefore: Double?
    var bestLoss = Double.infinity
    var bestGradientNormInf = Double.infinity
    var bestLocation = BestLocation.current
    /// Robust mode's test for a lack of progress; nil before its first iteration, and always with
    /// version 1 of the numerics.
    var stagnation: Stagnation?

    /// The lowest loss (up to noise) and the smallest gradient of the step's iterations, and how
    /// many iterations there have been since either fell.
    struct Stagnation: Equatable, Sendable, Codable {
        var loss: Double
        var gradientNormInf: Double
        var iterations = 0
    }

    init(options: Options) { self.options = options }

    func validate(_ path: String) throws(SnapshotError) {
        try options.validate(path + ".options")
        try requireCount(iterations, path + ".iterations")
        try requireCount(evaluations, path + ".evaluations")
        if case .trial(let stepLength) = bestLocation {
            try requireStepLength(stepLength, path + ".bestLocation.trial.stepLength")
        }
        if let stagnation {
            try requireCount(stagnation.iterations, path + ".standstill.iterations")
        }
    }

    private enum CodingKeys: String, CodingKey {
        case options, iterations, evaluations, lossBefore, bestLoss, bestGradientNormInf
        case bestLocation
        case stagnation = "standstill"
    }
}

/// What is carried from step to step beside torch's state.
struct CarriedState: Equatable, Sendable, Codable {
    /// The lowest loss since the optimizer was created, in either mode.
    var best: BestEvaluation?
    /// ||g||_inf at the first evaluation, for the relative tolerance.
    var initialGradientNormInf: Double?
    /// Whether `loss` and `gradient` are those at `parameters`.
    var isEvaluated = false
    /// Robust mode: line searches in a row that failed without progress between them.
    var failedSearches = 0
    /// Robust mode: the loss at which the newest of these failed.
    var lossAtFailedSearch: Double?
    /// Robust mode: gamma = s.y / y.y of the newest pair that was added.
    var lastScale: Double?

    func validate(_ path: String) throws(SnapshotError) {
        if let best { try requireCount(best.evaluation, path + ".best.evaluation") }
        try requireCount(
            failedSearches, upTo: RobustConstants.restartsMax + 1, path + ".failures")
    }

    private enum CodingKeys: String, CodingKey {
        case best, initialGradientNormInf, isEvaluated
        case failedSearches = "failures"
        case lossAtFailedSearch = "lossAtFailure"
        case lastScale = "scale"
    }
}
