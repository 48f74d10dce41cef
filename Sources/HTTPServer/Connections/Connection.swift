import CMicrohttpd
import HTTPTypes
import Synchronization

/// One client's connection: where it stands, and until when it may stay there.
///
/// The library's own timeout measures silence only; a client that sends a byte now and then would
/// stay for ever. So each stage has a deadline here, and the keeper shuts the sockets of those who
/// pass it.
final class Connection: Sendable {
    /// What the client is expected to do next.
    enum Stage: Sendable {
        /// Nothing, or to send a header. The library closes it when it is silent.
        case idle
        case sendingHeader
        case sendingBody
        /// To wait for the handler.
        case waiting
        case takingResponse
    }

    private struct State {
        var stage = Stage.idle
        var deadline: Int64
        var target = ""
        var exchange: Exchange?
        var isCut = false
    }

    /// Where it is served.
    let thread: ServingThread
    let fileDescriptor: Int32
    let remoteAddress: String
    private let state: Mutex<State>

    init(thread: ServingThread, fileDescriptor: Int32, remoteAddress: String) {
        self.thread = thread
        self.fileDescriptor = fileDescriptor
        self.remoteAddress = remoteAddress
        let seconds = thread.core.configuration.headerDeadlineSeconds
        state = Mutex(State(deadline: Monotonic.after(seconds: seconds)))
    }

    var core: ServerCore { thread.core }

    var exchange: Exchange? { state.withLock { $0.exchange } }

    /// For the keeper: the stage it is in, the exchange, and whether the deadline has passed.
    func look(at now: Int64) -> (stage: Stage, exchange: Exchange?, isOverdue: Bool) {
        state.withLock { ($0.stage, $0.exchange, now >= $0.deadline) }
    }

    /// The keeper has shut the socket; said once.
    func cut() -> Bool {
        state.withLock { state in
            defer { state.isCut = true }
            return !state.isCut
        }
    }

    func enter(_ stage: Stage, forSeconds seconds: Double) {
        let deadline = Monotonic.after(seconds: seconds)
        state.withLock { state in
            state.stage = stage
            state.deadline = deadline
        }
    }

    // MARK: What the library tells, in this order

    func requestBegins(target: String) {
        let deadline = Monotonic.after(seconds: core.configuration.headerDeadlineSeconds)
        state.withLock { state in
            state.stage = .sendingHeader
            state.deadline = deadline
            state.target = target
        }
    }

    func headIsRead(_ reader: consuming RequestReader, _ handle: ConnectionHandle) -> MHD_Result {
        core.exchangesInFlight.add(1, ordering: .sequentiallyConsistent)
        let target = state.withLock { $0.target }
        let reading = reader.read(target: target, remoteAddress: remoteAddress)
        let exchange = Exchange(thread: thread, head: reading.head)
        state.withLock { $0.exchange = exchange }
        let framing: Framing
        switch reading.framing {
        case .failure(let refusal):
            // Where the next request would begin is unknown.
            return answerAtOnce(
                exchange, core.gate.response(to: refusal, reading.head), handle, mayFollow: true)
        case .success(let known): framing = known
        }
        switch decide(reading.head, framing) {
        case .serve(let route, let parameters):
            // What is chunked was refused by the gate.
            let length = if case .sized(let length) = framing { length } else { 0 }
            let announced = Exchange.Announced(
                route: route, parameters: parameters, length: length,
                expectsContinue: reading.expectsContinue)
            let isWaitedWith = length > 0 && reading.expectsContinue
            if let preview = route.preview, isWaitedWith || length > Self.plainBodyBytesMax {
                guard exchange.preview(announced, preview, handle) else {
                    return takeBody(
                        announced,
                        .refuse(core.gate.response(to: .shuttingDown, reading.head)), exchange,
                        handle)
                }
                enter(.waiting, forSeconds: core.configuration.responseDeadlineSeconds)
                return .YES
            }
            return takeBody(announced, .collect, exchange, handle)
        case .answer(let response, let route):
            exchange.matched(route)
            return answerEarly(
                exchange, response, handle, framing, expectsContinue: reading.expectsContinue)
        }
    }

    /// Up to here a body is read before anybody looks at its header but the gate.
    private static let plainBodyBytesMax = 64 * 1024

    private func takeBody(
        _ announced: Exchange.Announced, _ plan: BodyPlan, _ exchange: Exchange,
        _ handle: ConnectionHandle
    ) -> MHD_Result {
        let framing = Framing.sized(announced.length)
        var sink: (any BodySink)?
        switch plan {
        case .collect: break
        case .stream(let taken): sink = taken
        case .refuse(let response):
            return answerEarly(
                exchange, response, handle, framing, expectsContinue: announced.expectsContinue)
        }
        let isTaken = exchange.expect(
            announced.route, announced.parameters, announced.length, sink: sink)
        guard isTaken else {
            return answerEarly(
                exchange,
                core.gate.response(to: core.bodiesOverloaded, exchange.head), handle,
                framing, expectsContinue: announced.expectsContinue)
        }
        enterBody(framing)
        return .YES
    }

    /// The whole request is here, or its route has seen the header, or the handler has answered.
    func requestIsReady(_ exchange: Exchange, _ handle: ConnectionHandle) -> MHD_Result {
        switch exchange.proceed(handle) {
        case .run(let route, let request):
            enter(.waiting, forSeconds: core.configuration.responseDeadlineSeconds)
            exchange.run(route, request)
            return .YES
        case .send(let response):
            return send(response, exchange, handle)
        case .proceedToBody(let announced, let plan):
            return takeBody(announced, plan, exchange, handle)
        case .refuse(let refusal):
            return send(core.gate.response(to: refusal, exchange.head), exchange, handle)
        }
    }

    func requestEnds() {
        let (exchange, isCut) = state.withLock { state in
            defer {
                state.exchange = nil
                state.stage = .idle
            }
            return (state.exchange, state.isCut)
        }
        enter(
            .idle,
            forSeconds: Double(core.configuration.idleTimeoutSeconds)
                + core.configuration.headerDeadlineSeconds)
        guard let exchange else { return }
        exchange.end(isCut: isCut)
        core.exchangesInFlight.subtract(1, ordering: .sequentiallyConsistent)
    }

    // MARK: Answers

    private func decide(_ head: RequestHead, _ framing: Framing) -> Gate.Decision {
        guard core.phase < .draining else {
            return .answer(core.gate.response(to: .shuttingDown, head), nil)
        }
        return core.gate.decide(head, framing)
    }

    /// Answers without a handler: at once when the body is too long to be read for nothing, or the
    /// client waits for leave to send it; else in its turn, so that the connection can go on.
    private func answerEarly(
        _ exchange: Exchange, _ response: Response, _ handle: ConnectionHandle, _ framing: Framing,
        expectsContinue: Bool
    ) -> MHD_Result {
        if case .sized(let length) = framing, length == 0 || !expectsContinue,
            length <= core.configuration.refusedBodyBytesMax
        {
            exchange.dropBody(andAnswer: response)
            enterBody(framing)
            return .YES
        }
        return answerAtOnce(exchange, response, handle, mayFollow: !expectsContinue)
    }

    /// The library closes a connection after a response that did not wait for the body.
    ///
    /// - Parameter mayFollow: whether the client may be sending more. Closing a socket on which
    ///   bytes lie unread resets it, and the client may lose the response; so what follows is read
    ///   for a while, from a second descriptor.
    private func answerAtOnce(
        _ exchange: Exchange, _ response: Response, _ handle: ConnectionHandle, mayFollow: Bool
    ) -> MHD_Result {
        if mayFollow { core.linger(copyOf: fileDescriptor) }
        return send(response, exchange, handle)
    }

    private func enterBody(_ framing: Framing) {
        guard case .sized(let length) = framing else { return }
        enter(.sendingBody, forSeconds: core.configuration.transferSeconds(bytes: length))
    }

    private func send(
        _ response: Response, _ exchange: Exchange, _ handle: ConnectionHandle
    ) -> MHD_Result {
        var writer = ResponseWriter(core: core, handle: handle, head: exchange.head)
        let stream = writer.write(response)
        exchange.sends(response.status.code, stream)
        let length = response.bodyByteCount ?? 0
        // A stream may take as long as it likes, while its client takes what there is.
        enter(
            .takingResponse,
            forSeconds: stream == nil ? core.configuration.transferSeconds(bytes: length) : 1e9)
        return writer.queue() ? .YES : .NO
    }
}

extension ServerConfiguration {
    /// How long a client may take to send or receive so much.
    func transferSeconds(bytes: Int) -> Double {
        bodyDeadlineSeconds + Double(bytes) / Double(max(1, bodyBytesPerSecondMin))
    }
}
