public import SessionModel

/// A frame of an event stream, as the HTML standard defines it (section 9.2, server-sent events).
public enum ServerSentEvent: Equatable, Sendable {
    /// How long a client waits before it connects again.
    case retry(milliseconds: Int)
    case session(SessionEvent, of: SessionID)
    /// One of a stream about many sessions. No event has an identifier: the stream does not go on
    /// where another was cut off.
    case feed(FeedEvent)

    public var bytes: [UInt8] {
        switch self {
        case .retry(let milliseconds):
            return Array("retry: \(milliseconds)\n\n".utf8)
        // A comment: it keeps the connection open at both ends and at every proxy between.
        case .session(.heartbeat, _), .feed(.heartbeat), .feed(.session(_, .heartbeat)):
            return Array(": \n\n".utf8)
        case .session(.evaluation(let point), _):
            return Array("event: evaluation\nid: \(point.evaluation)\ndata: ".utf8)
                + point.json + Array("\n\n".utf8)
        case .session(.expiring(let date), let session):
            let data = JSONText.object { text in
                text.field("session", session.rawValue)
                text.field("expires_at", date)
            }
            return Array("event: expiring\ndata: ".utf8) + data + Array("\n\n".utf8)
        case .session(.step(let record), let session):
            // Without an identifier: the client stays at the evaluation that it has seen.
            let data = JSONText.object { text in
                text.field("session", session.rawValue)
                text.write(record)
            }
            return Array("event: step\ndata: ".utf8) + data + Array("\n\n".utf8)
        case .feed(.session(let session, .evaluation(let point))):
            let data = JSONText.object { text in
                text.field("session", session.rawValue)
                text.writeWithSearch(point)
            }
            return Array("event: evaluation\ndata: ".utf8) + data + Array("\n\n".utf8)
        case .feed(.session(let session, let event)):
            return ServerSentEvent.session(event, of: session).bytes
        case .feed(.created(let session)): return Self.bytes("created", session)
        case .feed(.deleted(let session)): return Self.bytes("deleted", session)
        }
    }

    private static func bytes(_ event: String, _ session: SessionID) -> [UInt8] {
        let data = JSONText.object { $0.field("session", session.rawValue) }
        return Array("event: \(event)\ndata: ".utf8) + data + Array("\n\n".utf8)
    }
}
