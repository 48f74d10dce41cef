import HTTPTypes
import Synchronization

// The course of one request on its connection. libmicrohttpd's callbacks call these methods on the
// event loop's thread: `requestLineReceived`, `headerReceived`, `requestReady` once or more, and
// `requestCompleted`. Those that return a Bool return false to have the connection closed.

extension Connection {
    /// A body up to this length is collected without asking the route for a body plan, unless the
    /// client waits for permission to send it.
    private static let unplannedBodyBytesMax = 64 * 1024

    func requestLineReceived(target: String) {
        beginHeader(target: target)
    }

    func headerReceived(_ reader: consuming RequestReader, _ handle: ConnectionHandle) -> Bool {
        core.counters.exchangesInFlight.add(1, ordering: .sequentiallyConsistent)
        let header = reader.read(target: target, remoteAddress: remoteAddress)
        let exchange = Exchange(eventLoop: eventLoop, head: header.head)
        begin(exchange)
        let framing: BodyFraming
        switch header.framing {
        case .success(let sound):
            framing = sound
        case .failure(let rejection):
            return respondImmediately(
                exchange, core.dispatcher.response(to: rejection, header.head), handle,
                mayReceiveMore: true)
        }
        switch decide(header.head, framing) {
        case .dispatch(let route, let parameters):
            // The dispatcher has rejected chunked bodies.
            let body = AnnouncedBody(
                route: route, parameters: parameters, length: framing.length,
                expectsContinue: header.expectsContinue)
            return planBody(body, exchange, handle)
        case .respond(let response, let route):
            exchange.recordRoute(route)
            return respondEarly(
                exchange, response, handle, framing, expectsContinue: header.expectsContinue)
        case .refuse(let response, let route):
            exchange.recordRoute(route)
            if framing.isEmpty {
                return respondEarly(exchange, response, handle, framing, expectsContinue: false)
            }
            return respondImmediately(
                exchange, response, handle, mayReceiveMore: !header.expectsContinue)
        }
    }

    /// The request is complete, or its route has planned the body, or the handler has responded.
    func requestReady(_ exchange: Exchange, _ handle: ConnectionHandle) -> Bool {
        switch exchange.nextStep(handle) {
        case .callHandler(let route, let request):
            enter(.awaitingHandler, forSeconds: core.configuration.responseDeadlineSeconds)
            exchange.callHandler(route, request)
            return true
        case .send(let response):
            return send(response, exchange, handle)
        case .receiveBody(let body, let plan):
            return receiveBody(body, plan, exchange, handle)
        case .reject(let rejection):
            return send(core.dispatcher.response(to: rejection, exchange.head), exchange, handle)
        }
    }

    /// The response was sent, or the connection failed.
    func requestCompleted() {
        let (exchange, hasTimedOut) = endExchange()
        guard let exchange else { return }
        exchange.end(hasTimedOut: hasTimedOut)
        core.counters.exchangesInFlight.subtract(1, ordering: .sequentiallyConsistent)
    }

    // MARK: The body

    private func decide(
        _ head: RequestHead, _ framing: BodyFraming
    ) -> RequestDispatcher.Decision {
        guard core.phase < .closing else {
            return .respond(core.dispatcher.response(to: .shuttingDown, head), nil)
        }
        return core.dispatcher.decide(head, framing)
    }

    /// Asks the route what to do with the body if it is long or the client waits for permission to
    /// send it; else collects it.
    private func planBody(
        _ body: AnnouncedBody, _ exchange: Exchange, _ handle: ConnectionHandle
    ) -> Bool {
        let isClientWaiting = body.length > 0 && body.expectsContinue
        guard let planner = body.route.planBody,
            isClientWaiting || body.length > Self.unplannedBodyBytesMax
        else { return receiveBody(body, .collect, exchange, handle) }
        guard exchange.planBody(body, planner, handle) else {
            let response = core.dispatcher.response(to: .shuttingDown, exchange.head)
            return receiveBody(body, .reject(response), exchange, handle)
        }
        enter(.awaitingHandler, forSeconds: core.configuration.responseDeadlineSeconds)
        return true
    }

    private func receiveBody(
        _ body: AnnouncedBody, _ plan: BodyPlan, _ exchange: Exchange, _ handle: ConnectionHandle
    ) -> Bool {
        let sink: (any BodySink)?
        switch plan {
        case .collect:
            sink = nil
        case .stream(let planned):
            sink = planned
        case .reject(let response):
            return respondEarly(
                exchange, response, handle, .sized(body.length),
                expectsContinue: body.expectsContinue)
        }
        if let rejection = exchange.receiveBody(body, into: sink) {
            return respondEarly(
                exchange, core.dispatcher.response(to: rejection, exchange.head), handle,
                .sized(body.length), expectsContinue: body.expectsContinue)
        }
        enterBody(length: body.length)
        return true
    }

    private func enterBody(length: Int) {
        enter(.sendingBody, forSeconds: core.configuration.transferSeconds(bytes: length))
    }

    /// Responds in the middle of a body, and discards the rest of it for a while. The library can't
    /// send a response before the body's end, so it is told to close the connection.
    func rejectRest(of exchange: Exchange, _ response: Response) {
        core.lingerOnClose(of: fileDescriptor)
        RawResponse.send(
            RawResponse.serialized(response, to: exchange.head), to: fileDescriptor)
        exchange.beginSending(response, nil)
    }

    // MARK: Responses

    /// Responds without a handler. If the body is short and the client is sending it, it is read
    /// and discarded first, so that the connection can be reused; else the response is sent at
    /// once and the connection closed.
    private func respondEarly(
        _ exchange: Exchange, _ response: Response, _ handle: ConnectionHandle,
        _ framing: BodyFraming, expectsContinue: Bool
    ) -> Bool {
        if case .sized(let length) = framing, length == 0 || !expectsContinue,
            length <= core.configuration.rejectedBodyBytesMax
        {
            exchange.discardBody(thenSend: response)
            enterBody(length: length)
            return true
        }
        return respondImmediately(
            exchange, response, handle, mayReceiveMore: !expectsContinue)
    }

    /// Responds before the body was read. The library then closes the connection.
    ///
    /// - Parameter mayReceiveMore: Whether the client may still be sending. Closing the socket
    ///   would then reset the connection and the client could lose the response, so the socket is
    ///   closed lingeringly.
    private func respondImmediately(
        _ exchange: Exchange, _ response: Response, _ handle: ConnectionHandle,
        mayReceiveMore: Bool
    ) -> Bool {
        if mayReceiveMore { core.lingerOnClose(of: fileDescriptor) }
        return send(response, exchange, handle)
    }

    private func send(
        _ response: Response, _ exchange: Exchange, _ handle: ConnectionHandle
    ) -> Bool {
        if let rejection = exchange.reserveResponse(response) {
            return send(core.dispatcher.response(to: rejection, exchange.head), exchange, handle)
        }
        var writer = ResponseWriter(core: core, handle: handle, head: exchange.head)
        let stream = writer.prepare(response)
        exchange.beginSending(response, stream, writer.progress)
        // A stream has no deadline of its own; the monitor checks that its client keeps reading.
        let seconds =
            stream == nil
            ? core.configuration.transferSeconds(bytes: response.bodyByteCount ?? 0) : .infinity
        enter(.receivingResponse, forSeconds: seconds)
        return writer.queue()
    }
}
