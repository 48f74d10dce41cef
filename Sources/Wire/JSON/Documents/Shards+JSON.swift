public import SessionModel

extension StepRequest {
    /// `{"shards"}`; the body may be absent.
    public init(json: [UInt8]) throws(WireError) {
        let body = try JSONField(document: json, isOptional: true).object(known: ["shards"])
        self.init(shards: try body.present("shards")?.integer())
    }
}

/// torch's `zero_grad`: `{"set_to_none"}`, true when it is left out. The body may be absent.
public struct ZeroGradientRequest: Equatable, Sendable {
    public var setToNone: Bool

    public init(json: [UInt8]) throws(WireError) {
        let body = try JSONField(document: json, isOptional: true).object(known: ["set_to_none"])
        setToNone = try body.present("set_to_none")?.boolean() ?? true
    }
}

/// `{"worker", "seconds"}`
public struct LeaseRequest: Equatable, Sendable {
    private static let secondsDefault = 60.0

    public var worker: String
    public var seconds: Double

    public init(json: [UInt8]) throws(WireError) {
        let body = try JSONField(document: json).object(known: ["worker", "seconds"])
        worker = try body.required("worker").string()
        seconds = try body.present("seconds")?.number() ?? LeaseRequest.secondsDefault
    }
}

extension Lease {
    public var json: [UInt8] {
        JSONText.object { text in
            text.field("session", session.rawValue)
            text.field("evaluation", evaluation)
            text.field("shard", shard)
            text.field("shards", shardCount)
            text.field("worker", worker)
            text.field("expires_at", expiresAt)
            text.field("x", numbers: x)
        }
    }
}
