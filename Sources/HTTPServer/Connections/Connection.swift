import HTTPTypes
import Synchronization

/// One client's connection: its stage, the deadline of that stage, and the exchange in progress.
///
/// libmicrohttpd's timeout measures inactivity only: a client that sends a byte now and then would
/// stay connected for ever. So each stage has a deadline, which the `DeadlineMonitor` enforces.
final class Connection: Sendable {
    /// What the client is expected to do next.
    enum Stage: Sendable {
        /// Nothing yet, or begin a request. The library closes the connection if it stays idle.
        case idle
        case sendingHeader
        case sendingBody
        /// Nothing: the handler is running.
        case awaitingHandler
        case receivingResponse
    }

    private struct State {
        var stage = Stage.idle
        var deadline: Int64
        /// The request target of the current request, as it was sent.
        var target = ""
        var exchange: Exchange?
        var hasTimedOut = false
    }

    /// The loop that serves the connection.
    let eventLoop: EventLoop
    let fileDescriptor: Int32
    let remoteAddress: String
    private let state: Mutex<State>

    init(eventLoop: EventLoop, fileDescriptor: Int32, remoteAddress: String) {
        self.eventLoop = eventLoop
        self.fileDescriptor = fileDescriptor
        self.remoteAddress = remoteAddress
        let seconds = eventLoop.core.configuration.headerDeadlineSeconds
        state = Mutex(State(deadline: MonotonicClock.deadline(inSeconds: seconds)))
    }

    var core: ServerCore { eventLoop.core }

    var exchange: Exchange? { state.withLock { $0.exchange } }

    /// Whether the connection waits for its next request.
    var isIdle: Bool { state.withLock { $0.stage == .idle && $0.exchange == nil } }

    /// The stage, the exchange in progress, and whether the stage's deadline has passed.
    func status(at now: Int64) -> (stage: Stage, exchange: Exchange?, isOverdue: Bool) {
        state.withLock { ($0.stage, $0.exchange, now >= $0.deadline) }
    }

    /// Records that the connection missed a deadline. Returns false if it was recorded before.
    func markTimedOut() -> Bool {
        state.withLock { state in
            defer { state.hasTimedOut = true }
            return !state.hasTimedOut
        }
    }

    // MARK: Stages

    func enter(_ stage: Stage, forSeconds seconds: Double) {
        let deadline = MonotonicClock.deadline(inSeconds: seconds)
        state.withLock { state in
            state.stage = stage
            state.deadline = deadline
        }
    }

    func beginHeader(target: String) {
        let deadline = MonotonicClock.deadline(
            inSeconds: core.configuration.headerDeadlineSeconds)
        state.withLock { state in
            state.stage = .sendingHeader
            state.deadline = deadline
            state.target = target
        }
    }

    /// The target of the request line that was read last.
    var target: String { state.withLock { $0.target } }

    func begin(_ exchange: Exchange) {
        state.withLock { $0.exchange = exchange }
    }

    /// Makes the connection idle. Returns the exchange that ended, and whether the connection
    /// missed a deadline.
    func endExchange() -> (exchange: Exchange?, hasTimedOut: Bool) {
        let ended = state.withLock { state in
            defer {
                state.exchange = nil
                state.stage = .idle
            }
            return (state.exchange, state.hasTimedOut)
        }
        enter(
            .idle,
            forSeconds: Double(core.configuration.idleTimeoutSeconds)
                + core.configuration.headerDeadlineSeconds)
        return ended
    }
}
