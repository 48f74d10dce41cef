internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

/// A request to one operation, with typed access to its path, query and header fields.
///
/// A class, because each asynchronous function that it is passed to would keep a copy of a struct.
final class Call: Sendable {
    let request: Request
    /// The negotiated representation of the response.
    let representation: Representation
    private let query: [String: String]

    /// - Parameters:
    ///   - known: The query's known names. Others are an error, since a misspelt one would
    ///     otherwise be ignored.
    ///   - repeated: Those of them that may come several times.
    init(
        _ request: Request, query known: [String], repeated: [String] = [],
        produces: [Representation]
    ) throws {
        var query: [String: String] = [:]
        var errors: [FieldError] = []
        for item in request.head.query {
            let field = "query.\(item.name)"
            if !known.contains(item.name) {
                let names = known.isEmpty ? "none" : known.joined(separator: ", ")
                errors.append(
                    FieldError(field: field, reason: "is not known here; known: \(names)"))
            } else if query.updateValue(item.value, forKey: item.name) != nil,
                !repeated.contains(item.name)
            {
                errors.append(FieldError(field: field, reason: "comes twice"))
            }
        }
        guard errors.isEmpty else { throw Problem(errors) }
        let accept = request.head.headerFields[.accept]
        if produces.isEmpty {
            representation = .json
        } else if let chosen = Negotiation.choose(produces, accept: accept) {
            representation = chosen
        } else {
            let available = produces.map(\.mediaType)
            throw Problem(
                .notAcceptable, "The answer can be had as \(available.joined(separator: ", ")).",
                members: [("available", .strings(available))])
        }
        self.request = request
        self.query = query
    }

    var body: [UInt8] { request.body }

    /// Who calls: decides what may be seen and done.
    var caller: Caller { request.head.caller }

    /// The representation of the body; the operation reads it, which was checked before.
    var bodyRepresentation: Representation {
        guard let sent = field(.contentType) else { return .json }
        if let named = Representation(rawValue: sent) { return named }
        let type = split(sent, at: ";")[0]
        return Representation(rawValue: trimmed(type).lowercased()) ?? .json
    }

    private func field(_ name: HTTPField.Name) -> String? { request.head.headerFields[name] }

    // Path

    func session() throws -> SessionID {
        let text = request.pathParameters["session"] ?? ""
        guard let id = SessionID(text) else {
            throw SessionError.notFound(.session, id: shortened(text))
        }
        return id
    }

    func ensemble() throws -> EnsembleID {
        let text = request.pathParameters["ensemble"] ?? ""
        guard let id = EnsembleID(text) else {
            throw SessionError.notFound(.ensemble, id: shortened(text))
        }
        return id
    }

    /// The number in the path; throws `notFound` for text that is no such number.
    func number(_ resource: SessionError.Resource, from minimum: Int = 1) throws -> Int {
        let text = name(resource)
        guard let number = Call.number(text), number >= minimum else {
            throw SessionError.notFound(resource, id: shortened(text))
        }
        return number
    }

    /// The text in the path.
    func name(_ resource: SessionError.Resource) -> String {
        request.pathParameters[resource.rawValue] ?? ""
    }

    /// Parses a decimal number without sign and leading zeros, so that each resource has one name.
    /// Up to 15 digits, which every JSON implementation represents exactly.
    private static func number(_ text: String) -> Int? {
        guard text.utf8.count <= 15, let number = Int(text), String(number) == text, number >= 0
        else { return nil }
        return number
    }

    func shortened(_ text: String) -> String {
        text.count <= 64 ? text : text.prefix(64) + "..."
    }

    // Query

    func query(_ name: String) -> String? { query[name] }

    func queryNumber(_ name: String, from minimum: Int = 1) throws -> Int? {
        guard let text = query[name] else { return nil }
        guard let number = Call.number(text), number >= minimum else {
            throw Problem.invalid("query.\(name)", "must be a whole number of at least \(minimum)")
        }
        return number
    }

    /// One of the names that a parameter may have.
    func queryCase<Value: RawRepresentable<String> & CaseIterable>(
        _ name: String
    ) throws -> Value? {
        guard let text = query[name] else { return nil }
        guard let value = Value(rawValue: text) else {
            let known = Value.allCases.map(\.rawValue).joined(separator: ", ")
            throw Problem.invalid("query.\(name)", "must be one of \(known)")
        }
        return value
    }

    func queryFlag(_ name: String) throws -> Bool? {
        switch query[name] {
        case nil: return nil
        case "true": return true
        case "false": return false
        default: throw Problem.invalid("query.\(name)", "must be true or false")
        }
    }

    func queryEnsemble(_ name: String) throws -> EnsembleID? {
        guard let text = query[name] else { return nil }
        guard let id = EnsembleID(text) else {
            throw Problem.invalid("query.\(name)", "must be the identifier of an ensemble")
        }
        return id
    }

    /// Throws if one of the parameters comes that say nothing beside another.
    func refuse(_ names: [String], beside other: String) throws {
        let errors = names.filter { query[$0] != nil }.map {
            FieldError(field: "query.\($0)", reason: "must not come with \(other)")
        }
        guard errors.isEmpty else { throw Problem(errors) }
    }

    func queryLabel(_ name: String) throws -> SessionQuery.Label? {
        guard let text = query[name] else { return nil }
        guard let label = SessionQuery.Label(text) else {
            throw Problem.invalid(
                "query.\(name)", "must be a label's key, a colon and its value")
        }
        return label
    }

    /// All values of a parameter that may come several times, which may be the same.
    func queryValues(_ name: String) -> [String] {
        request.head.query.filter { $0.name == name }.map(\.value)
    }

    func pageToken() throws -> PageToken? {
        guard let text = query["page_token"] else { return nil }
        guard let token = PageToken(text: text) else {
            throw Problem.invalid("query.page_token", "must be a next_page_token of this list")
        }
        return token
    }

    // Header fields

    func precondition() throws -> Precondition {
        guard let value = field(.ifMatch) else { return .none }
        guard let tags = EntityTags(value) else {
            throw Problem(.malformed, "If-Match must be * or a list of entity tags in quotes.")
        }
        return tags.precondition
    }

    /// Whether the client names states that it has.
    var isConditional: Bool { field(.ifNoneMatch) != nil }

    /// Whether If-None-Match includes this tag: the client has this state already.
    func hasSeen(_ tag: String) -> Bool {
        field(.ifNoneMatch).flatMap(EntityTags.init)?.includes(tag) ?? false
    }

    /// The Idempotency-Key with the digest of its request.
    func idempotencyKey() throws -> IdempotencyKey? {
        guard let key = field(.idempotencyKey) else { return nil }
        guard (1...255).contains(key.utf8.count),
            key.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else {
            throw Problem(
                .malformed, "Idempotency-Key must have 1 to 255 visible ASCII characters.")
        }
        let digest =
            (request.sink as? JSONSink)?.keyedDigest ?? .of(requestLine, request.body)
        return IdempotencyKey(key: key, requestDigest: digest)
    }

    /// The same for a body of which a digest is known. The query belongs to such a request.
    func idempotencyKey(bodyDigest: [UInt8]) throws -> IdempotencyKey? {
        try idempotencyKey().map { key in
            let query = self.query.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)\n" }
                .joined()
            return IdempotencyKey(
                key: key.key, requestDigest: .of(requestLine, Array(query.utf8), bodyDigest))
        }
    }

    /// What precedes the body in the digest of a request with an Idempotency-Key; nil without one.
    var idempotencyPrefix: [UInt8]? { field(.idempotencyKey) == nil ? nil : requestLine }

    private var requestLine: [UInt8] {
        Array(
            "\(request.head.method.rawValue) /\(request.head.path.joined(separator: "/"))\n".utf8)
    }

    /// The seconds of `Prefer: wait=20` (RFC 7240), at most `maximum`. Other and malformed
    /// preferences are ignored, as the standard requires.
    func waitSeconds(atMost maximum: Double) -> Int? {
        guard let value = field(.prefer) else { return nil }
        for preference in split(value, at: ",") {
            let words = trimmed(split(String(preference), at: ";")[0]).split(
                separator: "=", maxSplits: 1)
            guard words.count == 2, trimmed(words[0]).lowercased() == "wait" else { continue }
            let digits = trimmed(words[1]).filter { $0 != "\"" }
            guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
                return nil
            }
            return min(Int(digits) ?? .max, Int(maximum))
        }
        return nil
    }

    /// The number of the last evaluation that the client received on its event stream.
    func lastEvent() throws -> EvaluationNumber? {
        if let number = try queryNumber("last_event_id", from: 0) { return number }
        guard let text = field(.lastEventID), !text.isEmpty else { return nil }
        guard let number = Call.number(text) else {
            throw Problem(.malformed, "Last-Event-ID must be the identifier of an event.")
        }
        return number
    }
}
