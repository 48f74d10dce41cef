import HTTPTypes
import Synchronization

/// One request and its response: an exchange, as RFC 9110 calls it.
///
///     header ─┬─► planning ─► planned ─┬─► receivingBody ─► awaitingHandler ─► responded
///             ├────────────────────────┘                                          │
///             └─► discardingBody ─────────────────────────────────────────────────┤
///                                                                                 ▼
///                                                            finished ◄──────── sending
///
/// The event loop advances the exchange. While it awaits the body plan or the handler, the
/// connection is suspended, and the response may come from the handler's task, the deadline monitor
/// or the server's shutdown: the first response counts.
final class Exchange: Sendable {
    private enum Phase {
        /// The header was read.
        case header
        /// The connection is suspended with the body unread, while the route's body planner runs.
        case planning(ConnectionHandle, AnnouncedBody)
        case planned(AnnouncedBody, BodyPlan)
        case receivingBody(Route, parameters: PathParameters)
        /// The body is read and discarded; the response is sent at its end.
        case discardingBody(Response)
        /// The connection is suspended while the handler runs.
        case awaitingHandler(ConnectionHandle)
        case responded(Response)
        case sending(StreamBuffer?, ResponseProgress?)
        case finished
    }

    private struct State {
        var phase = Phase.header
        var sink: (any BodySink)?
        /// Not a payload of the phase, so that appending never copies it.
        var body: [UInt8] = []
        var bodyBytesReserved = 0
        var bodyBytesLeft = 0
        var memory = ClientMemory.Reservation()
        /// The task of the body planner or the handler.
        var task: Task<Void, Never>?
        var route: Route?
        var status: Int?
        var location: String?
    }

    /// What the event loop does next.
    enum Step {
        /// Call the handler. The connection is suspended.
        case callHandler(Route, Request)
        case send(Response)
        /// The body was planned: begin to receive it.
        case receiveBody(AnnouncedBody, BodyPlan)
        case reject(RequestRejection)
    }

    let head: RequestHead
    private let eventLoop: EventLoop
    private let startTime = MonotonicClock.nanoseconds()
    private let state = Mutex(State())

    init(eventLoop: EventLoop, head: RequestHead) {
        self.eventLoop = eventLoop
        self.head = head
    }

    private var core: ServerCore { eventLoop.core }

    // MARK: On the event loop

    func recordRoute(_ route: Route?) {
        state.withLock { $0.route = route }
    }

    /// Suspends the connection while the route plans the body. Returns false if the server is
    /// closing.
    func planBody(
        _ body: AnnouncedBody, _ planner: @escaping Route.BodyPlanner, _ handle: ConnectionHandle
    ) -> Bool {
        let isSuspended = state.withLock { state in
            state.route = body.route
            guard handle.suspend() else { return false }
            state.phase = .planning(handle, body)
            return true
        }
        guard isSuspended else { return false }
        let task = RequestHead.$current.withValue(head) {
            Task(executorPreference: eventLoop) {
                self.setPlan(await planner(self.head, body.parameters, body.length))
            }
        }
        state.withLock { if case .planning = $0.phase { $0.task = task } }
        return true
    }

    private func setPlan(_ plan: BodyPlan) {
        state.withLock { state in
            guard case .planning(let handle, let body) = state.phase else { return }
            state.phase = .planned(body, plan)
            handle.resume()
        }
    }

    /// Prepares to receive the body, into the sink or an array. Returns a rejection if those of all
    /// requests together, or of its client, would take too much memory.
    func receiveBody(_ body: AnnouncedBody, into sink: (any BodySink)?) -> RequestRejection? {
        guard body.length == 0 || core.reserveBody(bytes: body.length) else {
            recordRoute(body.route)
            return core.bodyBudgetExceeded
        }
        return state.withLock { state in
            let rejection = core.clientMemory.reserveBody(
                body.length, of: head.remoteAddress, &state.memory)
            if let rejection {
                core.releaseBody(bytes: body.length)
                state.route = body.route
                return rejection
            }
            state.route = body.route
            state.phase = .receivingBody(body.route, parameters: body.parameters)
            state.bodyBytesReserved = body.length
            state.bodyBytesLeft = body.length
            state.sink = sink
            if sink == nil { state.body.reserveCapacity(body.length) }
            return nil
        }
    }

    func discardBody(thenSend response: Response) {
        state.withLock { $0.phase = .discardingBody(response) }
    }

    /// Takes a piece of the body. A sink that is full suspends the connection until it has read
    /// what it holds. Returns a response if the rest of the body is not to be read.
    func appendToBody(_ piece: UnsafeRawBufferPointer, _ handle: ConnectionHandle) -> Response? {
        state.withLock { state in
            guard case .receivingBody = state.phase else { return nil }
            guard let sink = state.sink else {
                unsafe state.body.append(contentsOf: piece)
                return nil
            }
            unsafe sink.append(piece)
            state.bodyBytesLeft -= piece.count
            let status = sink.status
            if let rejection = status.rejection {
                // The rest of a short body is discarded by the sink, as by `discardBody`.
                let isLong = state.bodyBytesLeft > core.configuration.rejectedBodyBytesMax
                return isLong ? rejection : nil
            }
            let growth = status.memoryBytes - state.bodyBytesReserved
            if growth > 0 {
                guard core.reserveBody(bytes: growth) else {
                    return core.dispatcher.response(to: core.bodyBudgetExceeded, head)
                }
                state.bodyBytesReserved += growth
                let rejection = core.clientMemory.reserveBody(
                    growth, of: head.remoteAddress, &state.memory)
                if let rejection { return core.dispatcher.response(to: rejection, head) }
            }
            if status.isFull, handle.suspend() { sink.whenReady { handle.resume() } }
            return nil
        }
    }

    /// Called when the body is complete, and after each resumption of the connection.
    func nextStep(_ handle: ConnectionHandle) -> Step {
        state.withLock { state in
            switch state.phase {
            case .receivingBody(let route, let parameters):
                var body: [UInt8] = []
                swap(&body, &state.body)
                let request = Request(
                    head: head, pathParameters: parameters, route: route.pattern, body: body,
                    sink: state.sink.take())
                // Under the lock: a response before the suspension would be lost.
                guard handle.suspend() else { return .reject(.shuttingDown) }
                state.phase = .awaitingHandler(handle)
                return .callHandler(route, request)
            case .discardingBody(let response), .responded(let response):
                state.phase = .responded(response)
                return .send(response)
            case .planned(let body, let plan):
                return .receiveBody(body, plan)
            case .header, .planning, .awaitingHandler, .sending, .finished:
                preconditionFailure("libmicrohttpd asked for a response in \(state.phase)")
            }
        }
    }

    /// Starts the handler's task. `nextStep` has suspended the connection.
    func callHandler(_ route: Route, _ request: Request) {
        // Bound around the task's creation, which copies it: binding inside would need one more
        // asynchronous frame.
        let task = RequestHead.$current.withValue(head) {
            Task(executorPreference: eventLoop) {
                self.respond(await route.handler(request))
            }
        }
        let isRunning = state.withLock { state in
            guard case .awaitingHandler = state.phase else { return false }
            state.task = task
            return true
        }
        // The task itself may have responded already, or the shutdown.
        if !isRunning { task.cancel() }
    }

    /// Counts the memory of a response. Returns the rejection to send instead if there is too
    /// little.
    func reserveResponse(_ response: Response) -> RequestRejection? {
        let bytes = response.heldBytes(core.configuration)
        if bytes < ClientMemory.countedBytesMin { return nil }
        return state.withLock {
            core.clientMemory.reserveResponse(bytes, to: head.remoteAddress, &$0.memory)
        }
    }

    func beginSending(
        _ response: Response, _ stream: StreamBuffer?, _ progress: ResponseProgress? = nil
    ) {
        let location = response.status == .created ? response.headerFields[.location] : nil
        state.withLock { state in
            state.status = response.status.code
            state.location = location
            state.phase = .sending(stream, progress)
        }
    }

    /// Releases everything and reports the exchange to the observer.
    func end(hasTimedOut: Bool) {
        let (stream, task, reserved, completed) = state.withLock { state in
            var stream: StreamBuffer?
            if case .sending(let sent, _) = state.phase { stream = sent }
            core.clientMemory.release(state.memory, of: head.remoteAddress)
            state.phase = .finished
            state.body = []
            state.sink = nil
            // 499 is nginx's code for a client that disconnected before the response. It is never
            // sent.
            let completed = CompletedExchange(
                head: head, route: state.route, status: state.status ?? (hasTimedOut ? 408 : 499),
                seconds: Double(MonotonicClock.nanoseconds() - startTime) / 1e9,
                location: state.location)
            return (stream, state.task.take(), state.bodyBytesReserved, completed)
        }
        stream?.close()
        task?.cancel()
        if reserved > 0 { core.releaseBody(bytes: reserved) }
        core.observe(completed)
    }

    // MARK: From any thread

    /// Responds and resumes the connection, if nobody has responded yet. A later response is
    /// dropped, and its stream, if it has one, with it.
    func respond(_ response: Response) {
        let suspended: ConnectionHandle? = state.withLock { state in
            switch state.phase {
            case .awaitingHandler(let handle):
                state.phase = .responded(response)
                return handle
            case .planning(let handle, let body):
                state.phase = .planned(body, .reject(response))
                return handle
            case .header, .planned, .receivingBody, .discardingBody, .responded, .sending,
                .finished:
                return nil
            }
        }
        // Only the caller that ended the suspended phase resumes. Outside the lock, because the
        // event loop takes it next.
        suspended?.resume()
    }

    /// Whether the monitor must check if the client has disconnected: the library does not notice
    /// it while the connection is suspended. A write is completed although its client is gone.
    var needsDisconnectCheck: Bool {
        state.withLock { state in
            switch state.phase {
            case .awaitingHandler: head.method.isSafe
            case .sending(let stream, _): stream != nil
            case .header, .planning, .planned, .receivingBody, .discardingBody, .responded,
                .finished:
                false
            }
        }
    }

    /// Whether the client has read less than `bytesMin` of a long response in the interval.
    func isStalled(at now: Int64, interval: Int64, bytesMin: Int) -> Bool {
        let progress: ResponseProgress? = state.withLock { state in
            if case .sending(_, let progress) = state.phase { return progress }
            return nil
        }
        return progress?.isStalled(at: now, interval: interval, bytesMin: bytesMin) ?? false
    }

    /// Whether its stream has waited since before `time` for the client to read.
    func isStalled(since time: Int64) -> Bool {
        activeStream?.isStalled(since: time) ?? false
    }

    private var activeStream: StreamBuffer? {
        state.withLock { state in
            if case .sending(let stream, _) = state.phase { return stream }
            return nil
        }
    }

    /// Cancels the handler's task, or closes the stream. A response that the cancelled handler
    /// still returns is sent.
    func cancel() {
        let (task, stream) = state.withLock { state -> (Task<Void, Never>?, StreamBuffer?) in
            if case .sending(let stream, _) = state.phase { return (nil, stream) }
            return (state.task, nil)
        }
        task?.cancel()
        stream?.close()
    }

    /// Responds on behalf of the handler of a safe method, and cancels it, or ends the stream.
    func endRead(_ response: Response) {
        guard head.method.isSafe else { return }
        respond(response)
        let task = state.withLock { state -> Task<Void, Never>? in
            if case .sending = state.phase { return nil }
            return state.task
        }
        task?.cancel()
        finishStream()
    }

    /// Ends the stream normally, if the response is one. Other exchanges are not affected.
    func finishStream() {
        activeStream?.finish()
    }
}

extension HTTPRequest.Method {
    /// Whether a request is safe to cancel: it changes nothing. A write is carried out even if its
    /// client is gone, because the client may reconnect and ask for the outcome.
    var isSafe: Bool { self == .get || self == .head }
}
