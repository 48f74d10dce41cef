internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

extension Operations {
    var events: [Route] {
        [
            operation(
                "streamEvents", .get, "/v1/sessions/{session}/events", query: ["last_event_id"],
                produces: [.eventStream], handler: streamEvents)
        ]
    }

    @Sendable private func streamEvents(_ call: Call) async throws -> Response {
        let id = try call.session()
        let events = try await service.events(id, after: try call.lastEvent())
        let frames = PieceStream(frames(of: events, from: id))
        var response = Response(status: .ok, body: .stream(frames))
        response.headerFields[.contentType] = Representation.eventStream.contentType
        // nginx collects what it is sent unless it is told not to.
        response.headerFields[.init("X-Accel-Buffering")!] = "no"
        return response
    }
}

/// Between two signs of life, so that proxies with a minute's patience keep the connection.
private let heartbeatSeconds = 15.0
/// How long a client waits before it connects again.
private let retryMilliseconds = 1000
/// What may wait for a client that reads slowly: some 2 MB. One that is slower is cut off, connects
/// again and goes on where it was.
private let framesMax = 10_000

/// The events as frames, with heartbeats between. It ends when the events do, when the client is
/// too slow, and takes both tasks with it when the server lets go of it.
private func frames(
    of events: AsyncStream<SessionEvent>, from id: SessionID
) -> AsyncStream<[UInt8]> {
    let (stream, continuation) = AsyncStream.makeStream(
        of: [UInt8].self, bufferingPolicy: .bufferingOldest(framesMax))
    continuation.yield(ServerSentEvent.retry(milliseconds: retryMilliseconds).bytes)
    let relay = Task {
        for await event in events {
            let frame = ServerSentEvent.session(event, of: id).bytes
            if case .dropped = continuation.yield(frame) { break }
        }
        continuation.finish()
    }
    let heart = Task {
        while (try? await Task.sleep(for: .seconds(heartbeatSeconds))) != nil {
            continuation.yield(ServerSentEvent.heartbeat.bytes)
        }
    }
    continuation.onTermination = { _ in
        relay.cancel()
        heart.cancel()
    }
    return stream
}
