/// When to try again to deliver a webhook: a pure function of how often it was tried and how the
/// last attempt went.
///
/// The delays are those that Standard Webhooks 1.0 suggests ("Deliverability and reliability"):
/// ten attempts over a little more than three days.
public struct BackoffSchedule: Equatable, Sendable {
    /// Before each attempt, in seconds; the first follows at once.
    public static let standardDelaysSeconds: [Double] = [
        0, 5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600,
    ]

    /// What to do after an attempt.
    public enum Next: Equatable, Sendable {
        /// Nothing: it was delivered.
        case finish
        /// The next attempt, so long from now.
        case retry(afterSeconds: Double)
        /// The same attempt again, so long from now: the receiver had no part in its failure.
        case repeatAttempt(afterSeconds: Double)
        /// Nothing: all attempts have been made.
        case giveUp
        /// Nothing, and send this receiver no other webhooks either: it is gone (410).
        case disable
    }

    /// Before each attempt, in seconds. Not empty.
    public let delaysSeconds: [Double]
    /// How far a delay is spread, as a part of itself: 0.2 makes 80 to 120 s of 100 s, so that
    /// what failed together doesn't come back together. From 0 to below 1.
    public let jitter: Double
    /// The longest that a receiver's Retry-After can make us wait.
    public let retryAfterMaxSeconds: Double

    /// - Precondition: The delays are finite numbers of at least 0, and there is one;
    ///   0 <= jitter < 1; `retryAfterMaxSeconds` is finite and at least 0.
    public init(
        delaysSeconds: [Double] = standardDelaysSeconds, jitter: Double = 0.2,
        retryAfterMaxSeconds: Double = 24 * 3600
    ) {
        precondition(!delaysSeconds.isEmpty)
        precondition(delaysSeconds.allSatisfy { $0.isFinite && $0 >= 0 }, "\(delaysSeconds)")
        precondition((0..<1).contains(jitter), "\(jitter)")
        precondition(retryAfterMaxSeconds.isFinite && retryAfterMaxSeconds >= 0)
        self.delaysSeconds = delaysSeconds
        self.jitter = jitter
        self.retryAfterMaxSeconds = retryAfterMaxSeconds
    }

    /// - Parameters:
    ///   - attempt: The number of the attempt that was made, from 1.
    ///   - random: A new random number from 0 to below 1.
    public func next(afterAttempt attempt: Int, _ outcome: WebhookOutcome, random: Double) -> Next {
        precondition(attempt >= 1 && (0..<1).contains(random), "\(attempt), \(random)")
        switch outcome {
        case .delivered:
            return .finish
        case .refused(410, _):
            return .disable
        case .refused(_, let retryAfterSeconds):
            return retry(
                after: attempt, random: random,
                atLeastSeconds: min(Double(retryAfterSeconds ?? 0), retryAfterMaxSeconds))
        case .failed(.cancelled), .failed(.overloaded):
            let delay = delaysSeconds.first { $0 > 0 } ?? 0
            return .repeatAttempt(afterSeconds: spread(delay, random))
        case .failed(.targetNotAllowed), .failed(.addressNotAllowed), .failed(.timedOut),
            .failed(.transport):
            return retry(after: attempt, random: random, atLeastSeconds: 0)
        }
    }

    private func retry(after attempt: Int, random: Double, atLeastSeconds minimum: Double) -> Next {
        guard attempt < delaysSeconds.count else { return .giveUp }
        return .retry(afterSeconds: max(spread(delaysSeconds[attempt], random), minimum))
    }

    private func spread(_ delay: Double, _ random: Double) -> Double {
        delay * (1 - jitter + 2 * jitter * random)
    }
}
