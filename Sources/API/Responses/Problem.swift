internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Telemetry
internal import Wire

/// An error response: RFC 9457. These files alone decide which status an error has.
struct Problem: Error {
    /// Every kind of problem. The raw value is its name in `type`. Clients rely on it: a kind is
    /// never renamed, and its status never changes.
    enum Kind: String, CaseIterable {
        case malformed
        case digestMismatch = "digest-mismatch"
        case unauthorized
        case foreignOrigin = "foreign-origin"
        case misdirected = "misdirected-request"
        case insufficientScope = "insufficient-scope"
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
        case tenantBusy = "tenant-busy"
        case headersTooLarge = "header-fields-too-large"
        case corrupt
        case `internal`
        case overloaded
        case shuttingDown = "shutting-down"
        case notReady = "not-ready"
        case unanswered
        case storageFull = "storage-full"
        case quotaExceeded = "quota-exceeded"
        case fenced
        case standbyMissing = "standby-missing"
        case unacknowledged
        case replicationOff = "replication-off"
        case otherStandby = "other-standby"
        case changesGone = "changes-gone"

        var status: HTTPResponse.Status {
            switch self {
            case .malformed, .digestMismatch: .badRequest
            case .unauthorized: .unauthorized
            case .foreignOrigin: .forbidden
            case .misdirected: .misdirectedRequest
            case .insufficientScope: .forbidden
            case .notFound, .evaluationNotReached, .hookCallNotReached: .notFound
            case .methodNotAllowed: .methodNotAllowed
            case .notAcceptable: .notAcceptable
            case .requestTimeout: .requestTimeout
            case .stepRunning, .noStepRunning, .alreadyTold, .evaluationInShards, .noShardFree,
                .awaitingHook, .alreadyAnswered, .abortedByHook, .replicationOff, .otherStandby:
                .conflict
            case .evaluationClosed, .stepUndone, .hookCallClosed, .changesGone: .gone
            case .lengthRequired: .lengthRequired
            case .preconditionFailed: .preconditionFailed
            case .contentTooLarge: .contentTooLarge
            case .unsupportedMediaType: .unsupportedMediaType
            case .rangeNotSatisfiable: .rangeNotSatisfiable
            case .invalidRequest, .idempotencyKeyReused: .unprocessableContent
            case .busy, .tenantBusy: .tooManyRequests
            case .headersTooLarge: .requestHeaderFieldsTooLarge
            case .corrupt, .internal: .internalServerError
            case .overloaded, .shuttingDown, .notReady, .fenced, .standbyMissing, .unacknowledged:
                .serviceUnavailable
            case .unanswered: .gatewayTimeout
            case .storageFull, .quotaExceeded:
                .init(code: 507, reasonPhrase: "Insufficient Storage")
            }
        }

        var title: String {
            switch self {
            case .malformed: "The request can't be read"
            case .digestMismatch: "The body is not what its digest says"
            case .unauthorized: "A token is needed"
            case .foreignOrigin: "Another site's page sent the request"
            case .misdirected: "The request is meant for another host"
            case .insufficientScope: "The token lacks a scope"
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
            case .tenantBusy: "The tenant uses as much as it may at once"
            case .headersTooLarge: "The header fields are too large"
            case .corrupt: "The stored session is damaged"
            case .internal: "Something went wrong in the server"
            case .overloaded: "A limit of the server is reached"
            case .shuttingDown: "The server is stopping"
            case .notReady: "The server is not ready"
            case .unanswered: "The answer took too long"
            case .storageFull: "The disk is full"
            case .quotaExceeded: "The tenant has as much as it may have"
            case .fenced: "The server is no longer the primary"
            case .standbyMissing: "No standby takes writes"
            case .unacknowledged: "The standby has not acknowledged the write"
            case .replicationOff: "The server has no standby"
            case .otherStandby: "The server has another standby"
            case .changesGone: "The changes are not kept"
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

    func document(for requestID: String) -> ProblemDocument {
        ProblemDocument(
            type: kind.path, title: kind.title, status: kind.status.code,
            detail: detail, errors: errors,
            members: members + [("request_id", .string(requestID))])
    }

    func response(to head: RequestHead) -> Response {
        var fields = headerFields
        fields[.contentType] = Representation.problem.contentType
        fields[.cacheControl] = "no-store"
        return Response(
            status: kind.status, headerFields: fields,
            body: .bytes(document(for: head.requestID).json))
    }
}
