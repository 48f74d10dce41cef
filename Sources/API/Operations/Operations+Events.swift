internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

extension Operations {
    var events: [Route] {
        [
            operation(
                "streamEvents", .get, "/v1/sessions/{session}/events", query: ["last_event_id"],
                produces: [.eventStream], handler: streamEvents),
            operation(
                "streamAllEvents", .get, "/v1/events", query: ["session", "label"],
                repeated: ["session"], produces: [.eventStream], handler: streamAllEvents),
        ]
    }

    @Sendable private func streamAllEvents(_ call: Call) async throws -> Response {
        let names = call.queryValues("session")
        let label = try call.queryLabel("label")
        guard names.isEmpty || label == nil else {
            throw Problem.invalid("query.label", "must not come with session")
        }
        let ids = try names.map { name in
            guard let id = SessionID(name) else {
                throw SessionError.notFound(.session, id: call.shortened(name))
            }
            return id
        }
        let watched: WatchedSessions =
            label.map { .labelled($0) } ?? (ids.isEmpty ? .all : .these(Set(ids)))
        let events = try await service.events(
            of: watched, tenant: call.caller.tenant, heartbeatSeconds: heartbeatSeconds)
        return eventStream(
            FrameSource(events) { ServerSentEvent.feed($0).bytes }.frames)
    }

    @Sendable private func streamEvents(_ call: Call) async throws -> Response {
        let id = try call.session()
        let events = try await service.events(
            id, after: try call.lastEvent(), heartbeatSeconds: heartbeatSeconds)
        return eventStream(
            FrameSource(events) { ServerSentEvent.session($0, of: id).bytes }.frames)
    }

    func eventStream(_ frames: AsyncStream<[UInt8]>) -> Response {
        var response = Response(status: .ok, body: .stream(ChunkStream(frames)))
        response.headerFields[.contentType] = Representation.eventStream.contentType
        // nginx buffers a response unless this field disables that.
        response.headerFields[.init("X-Accel-Buffering")!] = "no"
        return response
    }
}

/// The interval of heartbeats, which keep proxies with a timeout of a minute from closing.
let heartbeatSeconds = 15.0
/// How long a client waits before it reconnects.
private let retryMilliseconds = 1000

/// The events as frames. Pulled by the connection: what waits for a slow client waits in the
/// session's buffer of events, and nowhere else.
private actor FrameSource<Event: Sendable> {
    private let write: @Sendable (Event) -> [UInt8]
    private var events: AsyncStream<Event>.Iterator
    private var isFirst = true

    init(_ events: AsyncStream<Event>, _ write: @escaping @Sendable (Event) -> [UInt8]) {
        self.write = write
        self.events = events.makeAsyncIterator()
    }

    nonisolated var frames: AsyncStream<[UInt8]> { AsyncStream { await self.next() } }

    private func next() async -> [UInt8]? {
        if isFirst {
            isFirst = false
            return ServerSentEvent.retry(milliseconds: retryMilliseconds).bytes
        }
        var iterator = events
        let event = await iterator.next(isolation: self)
        events = iterator
        return event.map(write)
    }
}
