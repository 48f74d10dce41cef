import HTTPTypes
import Synchronization

/// One request and its response.
///
///     previewing --> expecting --body--> running --answer--> answered --> sending --> over
///               \--> dropping ------------------body-------> answered
///
/// The serving thread moves it along; the handler's task, the keeper at a deadline, or a stopping
/// server may answer it while it runs, and the first answer wins.
final class Exchange: Sendable {
    private enum Phase {
        case begun
        /// The connection is suspended, with the body unread; its route looks at the header.
        case previewing(ConnectionHandle, Announced)
        case previewed(Announced, BodyPlan)
        /// The body is arriving for a route.
        case expecting(Route, parameters: PathParameters)
        /// The body is arriving for nobody; the response is known.
        case dropping(Response)
        /// The connection is suspended; its handler is at work.
        case running(ConnectionHandle)
        case answered(Response)
        case sending(StreamBody?)
        case over
    }

    /// A body that is to come.
    struct Announced: Sendable {
        var route: Route
        var parameters: PathParameters
        var length: Int
        /// Whether the client waits for leave to send it.
        var expectsContinue: Bool
    }

    private struct State {
        var phase = Phase.begun
        var sink: (any BodySink)?
        /// Beside the phase, not in it, so that appending to it never copies it.
        var body: [UInt8] = []
        var bodyBytesReserved = 0
        var task: Task<Void, Never>?
        var route: Route?
        var status: Int?
    }

    /// What the serving thread does next.
    enum Step {
        /// Nothing before the handler has answered: the connection is suspended.
        case run(Route, Request)
        case send(Response)
        /// The route has seen the header.
        case proceedToBody(Announced, BodyPlan)
        case refuse(Refusal)
    }

    /// Where it came in, and where its handler runs.
    private let thread: ServingThread
    let head: RequestHead
    private let began = Monotonic.nanoseconds()
    private let state = Mutex(State())

    init(thread: ServingThread, head: RequestHead) {
        self.thread = thread
        self.head = head
    }

    private var core: ServerCore { thread.core }

    // MARK: On the serving thread

    func matched(_ route: Route?) {
        state.withLock { $0.route = route }
    }

    /// Suspends the connection until the route has looked at the header. Returns false when the
    /// server is closing.
    func preview(
        _ announced: Announced, _ preview: @escaping Route.Preview, _ handle: ConnectionHandle
    )
        -> Bool
    {
        let isSuspended = state.withLock { state in
            state.route = announced.route
            guard handle.suspend() else { return false }
            state.phase = .previewing(handle, announced)
            return true
        }
        guard isSuspended else { return false }
        let task = Task(executorPreference: thread) {
            self.planned(await preview(self.head, announced.parameters, announced.length))
        }
        state.withLock { if case .previewing = $0.phase { $0.task = task } }
        return true
    }

    private func planned(_ plan: BodyPlan) {
        state.withLock { state in
            guard case .previewing(let handle, let announced) = state.phase else { return }
            state.phase = .previewed(announced, plan)
            handle.resume()
        }
    }

    /// Makes room for a body. Returns false when all bodies together take too much.
    func expect(
        _ route: Route, _ parameters: PathParameters, _ length: Int,
        sink: (any BodySink)? = nil
    ) -> Bool {
        guard length == 0 || core.reserveBody(bytes: length) else {
            matched(route)
            return false
        }
        state.withLock { state in
            state.route = route
            state.phase = .expecting(route, parameters: parameters)
            state.bodyBytesReserved = length
            state.sink = sink
            if sink == nil { state.body.reserveCapacity(length) }
        }
        return true
    }

    func dropBody(andAnswer response: Response) {
        state.withLock { $0.phase = .dropping(response) }
    }

    func bodyContinues(_ piece: UnsafeRawBufferPointer) {
        state.withLock { state in
            guard case .expecting = state.phase else { return }
            if let sink = state.sink {
                unsafe sink.append(piece)
            } else {
                unsafe state.body.append(contentsOf: piece)
            }
        }
    }

    func proceed(_ handle: ConnectionHandle) -> Step {
        state.withLock { state in
            switch state.phase {
            case .expecting(let route, let parameters):
                var body: [UInt8] = []
                swap(&body, &state.body)
                let request = Request(
                    head: head, pathParameters: parameters, route: route.pattern, body: body,
                    sink: state.sink.take())
                // Under the lock: an answer that comes before the suspension would be lost.
                guard handle.suspend() else { return .refuse(.shuttingDown) }
                state.phase = .running(handle)
                return .run(route, request)
            case .dropping(let response), .answered(let response):
                state.phase = .answered(response)
                return .send(response)
            case .previewed(let announced, let plan):
                return .proceedToBody(announced, plan)
            case .begun, .previewing, .running, .sending, .over:
                preconditionFailure("the library asked for an answer in \(state.phase)")
            }
        }
    }

    /// Starts the handler, after the connection was suspended.
    func run(_ route: Route, _ request: Request) {
        let task = Task(executorPreference: thread) { self.answer(await route.handler(request)) }
        let isOver = state.withLock { state in
            if case .running = state.phase {
                state.task = task
                return false
            }
            return true
        }
        // Answered meanwhile, by the task itself or by a stopping server.
        if isOver { task.cancel() }
    }

    func sends(_ status: Int, _ stream: StreamBody?) {
        state.withLock { state in
            state.status = status
            state.phase = .sending(stream)
        }
    }

    func end(isCut: Bool) {
        let (stream, task, reserved, status, route) = state.withLock { state in
            var stream: StreamBody?
            if case .sending(let sent) = state.phase { stream = sent }
            state.phase = .over
            state.body = []
            state.sink = nil
            return (stream, state.task.take(), state.bodyBytesReserved, state.status, state.route)
        }
        stream?.close()
        task?.cancel()
        if reserved > 0 { core.releaseBody(bytes: reserved) }
        // 499 is what proxies write for a client that left; no client ever sees it.
        let seconds = Double(Monotonic.nanoseconds() - began) / 1e9
        core.observe(head, route?.pattern, status ?? (isCut ? 408 : 499), seconds)
    }

    // MARK: From any thread

    /// The first answer counts. A later one is let go of, and a stream in it with it.
    func answer(_ response: Response) {
        let suspended: ConnectionHandle? = state.withLock { state in
            switch state.phase {
            case .running(let handle):
                state.phase = .answered(response)
                return handle
            case .previewing(let handle, let announced):
                state.phase = .previewed(announced, .refuse(response))
                return handle
            case .begun, .previewed, .expecting, .dropping, .answered, .sending, .over:
                return nil
            }
        }
        // Who took it out of that phase resumes it, and nobody else. Not under the lock, which the
        // serving thread wants next.
        suspended?.resume()
    }

    /// Whether nobody would notice, by the library, that the client has left.
    var waitsUnwatched: Bool {
        state.withLock { state in
            switch state.phase {
            case .running: head.method.isSafe
            case .sending(let stream): stream != nil
            case .begun, .previewing, .previewed, .expecting, .dropping, .answered, .over: false
            }
        }
    }

    /// Whether its stream has waited since before `time` for the client to take something.
    func isStalled(since time: Int64) -> Bool {
        sentStream?.isStalled(since: time) ?? false
    }

    private var sentStream: StreamBody? {
        state.withLock { state in
            if case .sending(let stream) = state.phase { return stream }
            return nil
        }
    }

    /// Asks the handler to come to an end. A handler that answers all the same is heard.
    func cancel() {
        let (task, stream) = state.withLock { state -> (Task<Void, Never>?, StreamBody?) in
            if case .sending(let stream) = state.phase { return (nil, stream) }
            return (state.task, nil)
        }
        task?.cancel()
        stream?.close()
    }

    /// Ends a stream as if it had no more to say. Other exchanges go on.
    func finishStream() {
        sentStream?.finish()
    }
}

extension HTTPRequest.Method {
    /// Whether nothing is lost when its handler is cancelled. A write is carried out although
    /// nobody waits for it any more: its client may well ask, on a new connection, how it went.
    var isSafe: Bool { self == .get || self == .head }
}
