public import SessionModel

/// The body of a purge.
public struct PurgeRequest: Sendable {
    public var criteria = PurgeCriteria()
    /// Whether to delete what meets the criteria, rather than to say what does.
    public var isForced = false

    public init(json: [UInt8]) throws(WireError) {
        let body = try JSONField(document: json).object(
            known: ["label", "name", "unnamed", "state", "mode", "inactive_seconds", "force"])
        if let field = body.present("label") {
            guard let label = SessionQuery.Label(try field.string()) else {
                throw field.fails("must be a label's key, a colon and its value")
            }
            criteria.label = label
        }
        if let field = body.present("name") { criteria.name = try field.string() }
        if let field = body.present("unnamed") { criteria.isUnnamed = try field.boolean() }
        if let field = body.present("state") {
            criteria.state = try field.choice(SessionPhase.self)
        }
        if let field = body.present("mode") {
            criteria.mode = try field.choice(Options.Mode.self)
        }
        if let field = body.present("inactive_seconds") {
            criteria.inactiveSeconds = try field.integer()
        }
        if let field = body.present("force") { isForced = try field.boolean() }
    }
}

extension SessionQuery.Label {
    /// Parses `key:value`. A key has no colon, so the first colon ends it.
    public init?(_ text: String) {
        guard let colon = text.firstIndex(of: ":"), colon != text.startIndex else { return nil }
        self.init(
            key: String(text[..<colon]), value: String(text[text.index(after: colon)...]))
    }
}

extension PurgeOutcome {
    public var json: [UInt8] {
        JSONText.object { text in
            text.field("count", count)
            text.field("sessions", array: sessions) { $0.string($1.rawValue) }
            guard let deleted else { return }
            text.field("deleted", deleted)
            text.field("more", hasMore)
        }
    }
}
