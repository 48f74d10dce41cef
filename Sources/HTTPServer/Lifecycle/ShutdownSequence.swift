/// The order in which a stopping server becomes less patient. No clock inside: time is an argument.
package struct Shutdown {
    package enum Step: Equatable {
        case wait
        /// Cancel what only reads, the long-polls above all: asking again costs their clients
        /// nothing.
        case cancelSafe
        case cancelAll
        /// Answer for the handlers that are still silent. From here on nothing may suspend.
        case answerAll
        /// Shut the sockets of clients that do not take their responses.
        case cutAll
        case stop
    }

    private let safeSeconds: Double
    private let graceSeconds: Double
    /// What a cancelled handler has to come to an end, and a client to take its response.
    private let courtesySeconds = 0.5
    private var hasAnsweredAll = false

    package init(graceSeconds: Double) {
        self.graceSeconds = max(0, graceSeconds)
        safeSeconds = min(0.5, max(0, graceSeconds) / 4)
    }

    /// Called every few milliseconds. Steps repeat, since new exchanges may be in flight each time.
    package mutating func next(elapsedSeconds: Double, inFlight: Int, waiting: Int) -> Step {
        if hasAnsweredAll, waiting == 0 {
            let isPatienceOver = elapsedSeconds > graceSeconds + 4 * courtesySeconds
            if inFlight == 0 || isPatienceOver { return .stop }
        }
        // Also with nothing in flight: only after this step can nothing suspend any more.
        if inFlight == 0 || elapsedSeconds > graceSeconds + courtesySeconds {
            if hasAnsweredAll, elapsedSeconds > graceSeconds + 3 * courtesySeconds, waiting == 0 {
                return .cutAll
            }
            hasAnsweredAll = true
            return .answerAll
        }
        if elapsedSeconds > graceSeconds { return .cancelAll }
        return elapsedSeconds > safeSeconds ? .cancelSafe : .wait
    }
}
