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
        let frames = ChunkStream(frames(of: events, from: id))
        var response = Response(status: .ok, body: .stream(frames))
        response.headerFields[.contentType] = Representation.eventStream.contentType
        // nginx buffers a response unless this field disables that.
        response.headerFields[.init("X-Accel-Buffering")!] = "no"
        return response
    }
}

/// The interval of heartbeats, which keep proxies with a timeout of a minute from closing.
private let heartbeatSeconds = 15.0
/// How long a client waits before it reconnects.
private let retryMilliseconds = 1000
/// How many events may wait for a slow client: some 2 MB. A slower one is disconnected; it
/// reconnects and resumes where it was.
private let framesMax = 10_000

/// The events as frames, with heartbeats in between. The stream ends with the events or when the
/// client is too slow; dropping it cancels both tasks.
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
