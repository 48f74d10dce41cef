/// Decides whether and when to repeat a failed delivery, from the number of attempts and the
/// outcome of the last one.
///
/// The default delays are those of Standard Webhooks 1.0 ("Deliverability and reliability"): ten
/// attempts over a little more than three days.
public struct BackoffSchedule: Equatable, Sendable {
    /// The delay before each attempt, in seconds. The first attempt is made at once.
    public static let standardDelaysSeconds: [Double] = [
        0, 5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600,
    ]

    /// What follows an attempt.
    public enum NextAction: Equatable, Sendable {
        /// Nothing: the webhook was delivered.
        case finish
        /// Make the next attempt after a delay.
        case retry(afterSeconds: Double)
        /// Repeat the attempt after a delay, without counting it: the receiver did not cause the
        /// failure.
        case repeatAttempt(afterSeconds: Double)
        /// Nothing: all attempts have been made.
        case giveUp
        /// Remove the webhook: the receiver responded 410 Gone.
        case disable
    }

    /// The delay before each attempt, in seconds. Not empty.
    public let delaysSeconds: [Double]
    /// The random variation of a delay, relative to it: 0.2 turns 100 s into 80 to 120 s, so that
    /// deliveries that failed together are not repeated together. From 0 to below 1.
    public let jitter: Double
    /// The limit on the delay that a receiver can request with Retry-After.
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
    ///   - attempt: The number of the attempt, from 1.
    ///   - random: A random number from 0 to below 1, new for each call.
    public func next(
        afterAttempt attempt: Int, _ outcome: WebhookOutcome, random: Double
    ) -> NextAction {
        precondition(attempt >= 1 && (0..<1).contains(random), "\(attempt), \(random)")
        switch outcome {
        case .delivered:
            return .finish
        case .rejected(410, _):
            return .disable
        case .rejected(_, let retryAfterSeconds):
            return retry(
                after: attempt, random: random,
                atLeastSeconds: min(Double(retryAfterSeconds ?? 0), retryAfterMaxSeconds))
        case .failed(.cancelled), .failed(.overloaded):
            let delay = delaysSeconds.first { $0 > 0 } ?? 0
            return .repeatAttempt(afterSeconds: jittered(delay, random))
        case .failed(.targetNotAllowed), .failed(.addressNotAllowed), .failed(.timedOut),
            .failed(.transport):
            return retry(after: attempt, random: random, atLeastSeconds: 0)
        }
    }

    private func retry(
        after attempt: Int, random: Double, atLeastSeconds minimum: Double
    ) -> NextAction {
        guard attempt < delaysSeconds.count else { return .giveUp }
        return .retry(afterSeconds: max(jittered(delaysSeconds[attempt], random), minimum))
    }

    private func jittered(_ delay: Double, _ random: Double) -> Double {
        delay * (1 - jitter + 2 * jitter * random)
    }
}
