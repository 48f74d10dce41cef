/// Decides how a stopping server treats the exchanges in flight, more strictly as time passes.
///
/// The time is an argument, so the sequence is tested without a clock.
package struct ShutdownSequence {
    package enum Step: Equatable {
        case wait
        /// Cancel the handlers of safe methods, most of which are long-polls: their clients can
        /// repeat the request without loss.
        case cancelReads
        case cancelAll
        /// Respond on behalf of the handlers that have not responded. From here on no connection
        /// may be suspended.
        case respondToAll
        /// Shut down the sockets of clients that do not read their responses.
        case disconnectAll
        case stop
    }

    private let readGraceSeconds: Double
    private let graceSeconds: Double
    /// The time for a cancelled handler to return, and for a client to read its response.
    private let reactionSeconds = 0.5
    private var hasRespondedToAll = false

    package init(graceSeconds: Double) {
        self.graceSeconds = max(0, graceSeconds)
        readGraceSeconds = min(0.5, max(0, graceSeconds) / 4)
    }

    /// Called every few milliseconds until it returns `.stop`. Steps are repeated, because further
    /// exchanges may have begun.
    ///
    /// - Parameters:
    ///   - elapsedSeconds: The time since the shutdown began.
    ///   - inFlight: The number of exchanges in flight.
    ///   - suspended: The number of suspended connections. `.stop` is never returned while there
    ///     are any, because stopping libmicrohttpd would then abort the process.
    package mutating func next(elapsedSeconds: Double, inFlight: Int, suspended: Int) -> Step {
        if hasRespondedToAll, suspended == 0 {
            let isOverdue = elapsedSeconds > graceSeconds + 4 * reactionSeconds
            if inFlight == 0 || isOverdue { return .stop }
        }
        // Also required with no exchanges in flight: only then can no connection be suspended any
        // more.
        if inFlight == 0 || elapsedSeconds > graceSeconds + reactionSeconds {
            if hasRespondedToAll, elapsedSeconds > graceSeconds + 3 * reactionSeconds,
                suspended == 0
            {
                return .disconnectAll
            }
            hasRespondedToAll = true
            return .respondToAll
        }
        if elapsedSeconds > graceSeconds { return .cancelAll }
        return elapsedSeconds > readGraceSeconds ? .cancelReads : .wait
    }
}
