public import SessionModel

extension ReplicationStatus {
    /// `{"mode", "feed", "term", "fenced", "change", "standby"}`
    public var json: [UInt8] {
        JSONText.object { text in
            text.field("mode", mode.rawValue)
            text.field("feed", feed)
            text.field("term", term)
            text.field("fenced", isFenced)
            text.field("change", change)
            guard let standby else { return }
            text.field("standby") { text in
                text.field("id", standby.id)
                text.field("acknowledged", standby.acknowledged)
                text.field("in_sync", standby.isInSync)
                text.field("seconds_behind", standby.secondsBehind)
                text.field("bytes_behind", standby.bytesBehind)
                text.field("seconds_silent", standby.secondsSilent)
            }
        }
    }

    /// What a primary has answered.
    public init(json: [UInt8]) throws(WireError) {
        let fields = try JSONField(document: json).object(
            known: ["mode", "feed", "term", "fenced", "change", "standby"])
        var standby: Standby?
        if let field = fields.present("standby") {
            let fields = try field.object(
                known: [
                    "id", "acknowledged", "in_sync", "seconds_behind", "bytes_behind",
                    "seconds_silent",
                ])
            standby = Standby(
                id: try fields.required("id").string(),
                acknowledged: try fields.required("acknowledged").integer(),
                isInSync: try fields.required("in_sync").boolean(),
                secondsBehind: try fields.required("seconds_behind").number(),
                bytesBehind: try fields.required("bytes_behind").integer(),
                secondsSilent: try fields.required("seconds_silent").number())
        }
        self.init(
            mode: try fields.required("mode").choice(ReplicationMode.self),
            feed: try fields.required("feed").string(), term: try fields.required("term").integer(),
            isFenced: try fields.required("fenced").boolean(),
            change: try fields.required("change").integer(), standby: standby)
    }
}

/// `{"standby", "term"}`
public struct BaseRequest: Sendable {
    public var standby: String
    public var term: Int

    public init(standby: String, term: Int) {
        self.standby = standby
        self.term = term
    }

    public init(json: [UInt8]) throws(WireError) {
        let fields = try JSONField(document: json).object(known: ["standby", "term"])
        standby = try fields.required("standby").standbyName()
        term = try fields.required("term").term()
    }

    public var json: [UInt8] {
        JSONText.object { text in
            text.field("standby", standby)
            text.field("term", term)
        }
    }
}

/// `{"standby", "term", "feed", "after", "copying", "wait_seconds"}`
public struct ChangesRequest: Sendable {
    public var standby: String
    public var term: Int
    public var feed: String
    public var after: Int
    public var isCopying: Bool
    public var waitSeconds: Double

    public init(
        standby: String, term: Int, feed: String, after: Int, isCopying: Bool, waitSeconds: Double
    ) {
        self.standby = standby
        self.term = term
        self.feed = feed
        self.after = after
        self.isCopying = isCopying
        self.waitSeconds = waitSeconds
    }

    public init(json: [UInt8], waitSecondsMax: Double) throws(WireError) {
        let fields = try JSONField(document: json).object(
            known: ["standby", "term", "feed", "after", "copying", "wait_seconds"])
        standby = try fields.required("standby").standbyName()
        term = try fields.required("term").term()
        feed = try fields.required("feed").standbyName()
        let after = try fields.required("after")
        self.after = try after.integer()
        guard self.after >= 0 else { throw after.fails("must be at least 0") }
        isCopying = try fields.present("copying")?.boolean() ?? false
        waitSeconds = 0
        if let wait = fields.present("wait_seconds") {
            let seconds = try wait.number()
            guard seconds >= 0, seconds <= waitSecondsMax else {
                throw wait.fails("must be from 0 to \(waitSecondsMax)")
            }
            waitSeconds = seconds
        }
    }

    public var json: [UInt8] {
        JSONText.object { text in
            text.field("standby", standby)
            text.field("term", term)
            text.field("feed", feed)
            text.field("after", after)
            text.field("copying", isCopying)
            text.field("wait_seconds", waitSeconds)
        }
    }
}

/// `{"term"}`
public struct FenceRequest: Sendable {
    public var term: Int

    public init(term: Int) { self.term = term }

    public init(json: [UInt8]) throws(WireError) {
        let fields = try JSONField(document: json).object(known: ["term"])
        term = try fields.required("term").term()
    }

    public var json: [UInt8] { JSONText.object { $0.field("term", term) } }
}

/// What a client needs of a problem.
public struct ProblemSummary: Sendable {
    /// The last part of `type`.
    public var kind: String
    public var detail: String
    public var term: Int?

    /// nil if it is none.
    public init?(json: [UInt8]) {
        guard let document = try? JSONDocument(json),
            let members = try? JSONField(document).members(),
            case let fields = Dictionary(
                uniqueKeysWithValues: members.map { ($0.name, $0.field) }),
            let type = try? fields["type"]?.string(), let last = type.split(separator: "/").last
        else { return nil }
        kind = String(last)
        detail = (try? fields["detail"]?.string()) ?? ""
        term = try? fields["term"]?.integer()
    }
}

extension JSONField {
    /// A name that a standby has given itself or that it was given.
    fileprivate func standbyName() throws(WireError) -> String {
        let text = try string()
        guard (1...32).contains(text.utf8.count), text.utf8.allSatisfy({ 0x21...0x7E ~= $0 })
        else { throw fails("must have 1 to 32 visible ASCII characters") }
        return text
    }

    fileprivate func term() throws(WireError) -> Int {
        let term = try integer()
        guard (1...1_000_000_000).contains(term) else {
            throw fails("must be from 1 to 1000000000")
        }
        return term
    }
}
