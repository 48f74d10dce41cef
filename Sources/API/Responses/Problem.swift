internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Telemetry
internal import Wire

/// An error response: RFC 9457. This file alone decides which status an error has.
struct Problem: Error {
    /// Every kind of problem. The raw value is its name in `type`. Clients rely on it: a kind is
    /// never renamed, and its status never changes.
    enum Kind: String, CaseIterable {
        case malformed
        case digestMismatch = "digest-mismatch"
        case unauthorized
        case notFound = "not-found"
        case evaluationNotReached = "evaluation-not-reached"
        case methodNotAllowed = "method-not-allowed"
        case notAcceptable = "not-acceptable"
        case requestTimeout = "request-timeout"
        case stepRunning = "step-running"
        case noStepRunning = "no-step-running"
        case alreadyTold = "already-told"
        case evaluationClosed = "evaluation-closed"
        case evaluationInShards = "evaluation-in-shards"
        case noShardFree = "no-shard-free"
        case stepUndone = "step-undone"
        case awaitingHook = "awaiting-hook"
        case hookCallNotReached = "hook-call-not-reached"
        case hookCallClosed = "hook-call-closed"
        case alreadyAnswered = "already-answered"
        case abortedByHook = "aborted-by-hook"
        case lengthRequired = "length-required"
        case preconditionFailed = "precondition-failed"
        case contentTooLarge = "content-too-large"
        case unsupportedMediaType = "unsupported-media-type"
        case rangeNotSatisfiable = "range-not-satisfiable"
        case invalidRequest = "invalid-request"
        case idempotencyKeyReused = "idempotency-key-reused"
        case busy
        case headersTooLarge = "header-fields-too-large"
        case corrupt
        case `internal`
        case overloaded
        case shuttingDown = "shutting-down"
        case notReady = "not-ready"
        case unanswered
        case storageFull = "storage-full"

        var status: HTTPResponse.Status {
            switch self {
            case .malformed, .digestMismatch: .badRequest
            case .unauthorized: .unauthorized
            case .notFound, .evaluationNotReached, .hookCallNotReached: .notFound
            case .methodNotAllowed: .methodNotAllowed
            case .notAcceptable: .notAcceptable
            case .requestTimeout: .requestTimeout
            case .stepRunning, .noStepRunning, .alreadyTold, .evaluationInShards, .noShardFree,
                .awaitingHook, .alreadyAnswered, .abortedByHook:
                .conflict
            case .evaluationClosed, .stepUndone, .hookCallClosed: .gone
            case .lengthRequired: .lengthRequired
            case .preconditionFailed: .preconditionFailed
            case .contentTooLarge: .contentTooLarge
            case .unsupportedMediaType: .unsupportedMediaType
            case .rangeNotSatisfiable: .rangeNotSatisfiable
            case .invalidRequest, .idempotencyKeyReused: .unprocessableContent
            case .busy: .tooManyRequests
            case .headersTooLarge: .requestHeaderFieldsTooLarge
            case .corrupt, .internal: .internalServerError
            case .overloaded, .shuttingDown, .notReady: .serviceUnavailable
            case .unanswered: .gatewayTimeout
            case .storageFull: .init(code: 507, reasonPhrase: "Insufficient Storage")
            }
        }

        var title: String {
            switch self {
            case .malformed: "The request can't be read"
            case .digestMismatch: "The body is not what its digest says"
            case .unauthorized: "A token is needed"
            case .notFound: "There is no such thing"
            case .evaluationNotReached: "The evaluation has not been asked for"
            case .methodNotAllowed: "The method is not one of this path's"
            case .notAcceptable: "No form of the answer is acceptable"
            case .requestTimeout: "The request did not arrive in time"
            case .stepRunning: "A step is running"
            case .noStepRunning: "No step is running"
            case .alreadyTold: "The evaluation has another result"
            case .evaluationClosed: "The evaluation was closed"
            case .evaluationInShards: "The evaluation is told in shards"
            case .noShardFree: "No shard is free"
            case .stepUndone: "The step was undone"
            case .awaitingHook: "The session waits for a hook"
            case .hookCallNotReached: "The hook's call has not been made"
            case .hookCallClosed: "The hook's call was closed"
            case .alreadyAnswered: "The hook's call has another answer"
            case .abortedByHook: "A hook's default was to abort"
            case .lengthRequired: "The body needs a length"
            case .preconditionFailed: "The session is not in the expected state"
            case .contentTooLarge: "The body is too large"
            case .unsupportedMediaType: "The body's form is not one that is read here"
            case .rangeNotSatisfiable: "The answer has no such part"
            case .invalidRequest: "The request has something wrong"
            case .idempotencyKeyReused: "The idempotency key belongs to another request"
            case .busy: "Too many requests for this session"
            case .headersTooLarge: "The header fields are too large"
            case .corrupt: "The stored session is damaged"
            case .internal: "Something went wrong in the server"
            case .overloaded: "A limit of the server is reached"
            case .shuttingDown: "The server is stopping"
            case .notReady: "The server is not ready"
            case .unanswered: "The answer took too long"
            case .storageFull: "The disk is full"
            }
        }
    }

    var kind: Kind
    var detail: String
    var errors: [FieldError] = []
    /// Extension members: the numbers and names that a client needs to act.
    var members: [(name: String, value: ProblemDocument.Member)] = []
    var headerFields: HeaderFields = [:]

    init(
        _ kind: Kind, _ detail: String, errors: [FieldError] = [],
        members: [(name: String, value: ProblemDocument.Member)] = []
    ) {
        self.kind = kind
        self.detail = detail
        self.errors = errors
        self.members = members
    }

    /// One invalid field. Fields outside the body are named `query.x`.
    static func invalid(_ field: String, _ reason: String) -> Problem {
        Problem([FieldError(field: field, reason: reason)])
    }

    init(_ errors: [FieldError]) {
        let what = errors.prefix(3).map { "\($0.field) \($0.reason)" }.joined(separator: "; ")
        let more = errors.count > 3 ? "; and \(errors.count - 3) more" : ""
        self.init(.invalidRequest, what + more + ".", errors: errors)
    }

    func retrying(afterSeconds seconds: Int) -> Problem {
        var problem = self
        problem.members.append(("retry_after_seconds", .integer(seconds)))
        problem.headerFields[.retryAfter] = String(seconds)
        return problem
    }

    var document: ProblemDocument {
        ProblemDocument(
            type: "/problems/\(kind.rawValue)", title: kind.title, status: kind.status.code,
            detail: detail, errors: errors, members: members)
    }

    var response: Response {
        var fields = headerFields
        fields[.contentType] = Representation.problem.contentType
        fields[.cacheControl] = "no-store"
        return Response(
            status: kind.status, headerFields: fields, body: .bytes(document.json))
    }
}

extension Problem {
    /// The problem for any error that a handler throws.
    init(_ error: any Error) {
        switch error {
        case let problem as Problem: self = problem
        case let error as SessionError: self.init(error)
        case let error as WireError: self.init(error)
        default:
            Logger(label: "lbfgsd.api").error("unforeseen error", metadata: ["error": "\(error)"])
            self.init(.internal, "The server's log says more.")
        }
    }

    private init(_ error: WireError) {
        switch error {
        case .malformed(let reason): self.init(.malformed, "The body can't be read: \(reason).")
        case .invalid(let errors): self.init(errors)
        }
    }

    private init(_ error: SessionError) {
        switch error {
        case .notFound(let resource, let id):
            self.init(
                .notFound, "There is no \(resource.rawValue) \(id).",
                members: [("resource", .string(resource.rawValue))])
        case .invalid(let errors):
            self.init(errors)
        case .stepRunning(let step):
            self.init(
                .stepRunning, "Step \(step) is running: finish it or stop it first.",
                members: [("step", .integer(step))])
        case .noStepRunning:
            self.init(.noStepRunning, "No step is running: begin one first.")
        case .alreadyTold(let number):
            self.init(
                .alreadyTold,
                "Evaluation \(number) was told before, with another result; the first one counts.",
                members: [("evaluation", .integer(number))])
        case .evaluationNotReached(let number, let pending):
            self.init(.evaluationNotReached, evaluation: number, "has not been asked for", pending)
        case .evaluationClosed(let number, let pending):
            self.init(
                .evaluationClosed, evaluation: number, "is over, and nobody waits for it", pending)
        case .evaluationInShards(let number, let count):
            self.init(
                .evaluationInShards,
                "Evaluation \(number) is told in \(count) shards: PUT them at "
                    + "evaluations/\(number)/shards/0 to \(count - 1).",
                members: [("evaluation", .integer(number)), ("shards", .integer(count))])
        case .noShardFree(let number, let seconds):
            self = Problem(
                .noShardFree, "All shards of evaluation \(number) are told or leased.",
                members: [("evaluation", .integer(number))]
            ).retrying(afterSeconds: seconds)
        case .stepUndone(let step):
            self.init(
                .stepUndone, "Step \(step), which this key began, was undone by a restore.",
                members: [("step", .integer(step))])
        case .awaitingHook(let call, let seconds):
            self = Problem(
                .awaitingHook,
                "The session waits for the answer to call \(call) of a hook; its default applies "
                    + "in \(seconds) s.",
                members: [("hook_call", .integer(call))]
            ).retrying(afterSeconds: seconds)
        case .hookCallNotReached(let call):
            self.init(
                .hookCallNotReached, "Call \(call) of a hook has not been made.",
                members: [("hook_call", .integer(call))])
        case .hookCallClosed(let call):
            self.init(
                .hookCallClosed,
                "Call \(call) of a hook was closed: its deadline passed or its hook was removed.",
                members: [("hook_call", .integer(call))])
        case .alreadyAnswered(let call):
            self.init(
                .alreadyAnswered,
                "Call \(call) of a hook was answered before, in another way; the first one counts.",
                members: [("hook_call", .integer(call))])
        case .aborted(let event):
            self.init(
                .abortedByHook,
                "A hook for \(event.rawValue) was not answered in time; its default is to abort.")
        case .preconditionFailed(let current):
            self.init(
                .preconditionFailed,
                "The session's entity tag is \(current.text), which If-Match doesn't name.",
                members: [("current", .string(current.text))])
        case .idempotencyKeyReused(let key):
            self.init(
                .idempotencyKeyReused,
                "The Idempotency-Key \(key) was used for another request: use a new one.")
        case .overloaded(let limit, let maximum, let seconds):
            // A session's full queue is caused by its own clients (429), any other by the load
            // (503).
            self.init(
                limit == .queuedRequests ? .busy : .overloaded, limit: limit.rawValue, maximum,
                retryAfterSeconds: seconds)
        case .memoryFull(let needed, let reserved, let maximum, let seconds):
            self = Problem(
                .overloaded,
                "The session can come to need \(needed) bytes of memory. Of \(maximum) for all "
                    + "sessions, \(reserved) are taken by sessions in use; try again in "
                    + "\(seconds) s.",
                members: [
                    ("limit_name", .string("resident_bytes")), ("limit", .integer(maximum)),
                    ("needed_bytes", .integer(needed)), ("reserved_bytes", .integer(reserved)),
                ]
            ).retrying(afterSeconds: seconds)
        case .storageFull:
            self = Problem(
                .storageFull, "The result was not stored; nothing changed. Reading goes on."
            ).retrying(afterSeconds: 30)
        case .corrupt(let session, let reason):
            Logger(label: "lbfgsd.api").error(
                "damaged session", metadata: ["session": "\(session)", "reason": "\(reason)"])
            self.init(.corrupt, "Session \(session) can't be read; the server's log says more.")
        case .storageFailed(let reason):
            Logger(label: "lbfgsd.api").error("storage failed", metadata: ["reason": "\(reason)"])
            self.init(
                .internal,
                "The store failed, and it is unknown whether the request took effect: repeat it "
                    + "or look at the session. The server's log says more.")
        case .shuttingDown:
            self = Problem.shuttingDown
        }
    }

    private init(
        _ kind: Kind = .overloaded, limit: String, _ maximum: Int, retryAfterSeconds seconds: Int
    ) {
        self = Problem(
            kind, "The limit on \(limit), \(maximum), is reached; try again in \(seconds) s.",
            members: [("limit_name", .string(limit)), ("limit", .integer(maximum))]
        ).retrying(afterSeconds: seconds)
    }

    private init(
        _ kind: Kind, evaluation number: EvaluationNumber, _ what: String,
        _ pending: EvaluationNumber?
    ) {
        let now = pending.map { "evaluation \($0) is pending" } ?? "none is pending"
        self.init(
            kind, "Evaluation \(number) \(what); \(now).",
            members: [("evaluation", .integer(number))])
        if let pending { members.append(("pending_evaluation", .integer(pending))) }
    }

    private static var shuttingDown: Problem {
        Problem(.shuttingDown, "The server is stopping; what was acknowledged is on disk.")
            .retrying(afterSeconds: 2)
    }
}

extension Problem {
    init(_ rejection: RequestRejection) {
        switch rejection {
        case .malformed(let reason): self.init(.malformed, "The request is not HTTP: \(reason).")
        case .notFound: self.init(.notFound, "There is nothing at this path.")
        case .methodNotAllowed(let allow):
            let methods = allow.map(\.rawValue)
            self.init(
                .methodNotAllowed, "This path allows \(methods.joined(separator: ", ")).",
                members: [("allow", .strings(methods))])
        case .requestTimedOut: self.init(.requestTimeout, "The request did not arrive in time.")
        case .lengthRequired:
            self.init(
                .lengthRequired, "Send the body with Content-Length: its size is checked first.")
        case .contentTooLarge(let limit):
            self.init(
                .contentTooLarge, "This operation reads bodies of at most \(limit) bytes.",
                members: [("limit", .integer(limit))])
        case .unsupportedMediaType(let accepted):
            self.init(
                .unsupportedMediaType,
                accepted.isEmpty
                    ? "This operation takes no body."
                    : "This operation reads \(accepted.joined(separator: ", ")).",
                members: [("accepted", .strings(accepted))])
            if !accepted.isEmpty {
                headerFields[.accept] = accepted.joined(separator: ", ")
            }
        case .headersTooLarge:
            self.init(.headersTooLarge, "The header fields don't fit in the server's buffer.")
        case .overloaded(let limit, let maximum, let seconds):
            self.init(limit: limit.rawValue, maximum, retryAfterSeconds: seconds)
        case .shuttingDown: self = Problem.shuttingDown
        case .handlerTimedOut(let seconds):
            self.init(
                .unanswered,
                "There was no answer within \(seconds) s, and it is unknown whether the request "
                    + "took effect: repeat it or look at the session.")
        }
    }
}
