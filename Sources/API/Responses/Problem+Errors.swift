internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Telemetry
internal import Wire

// Which problem an error of a session, a document or a standby is.

extension Problem {
    /// The problem for any error that a handler throws.
    init(_ error: any Error) {
        switch error {
        case let problem as Problem: self = problem
        case let error as SessionError: self.init(error)
        case let error as WireError: self.init(error)
        case let error as ReplicationError: self.init(error)
        default:
            Logger(label: "lbfgsd.api").error("unforeseen error", metadata: ["error": "\(error)"])
            self.init(.internal, "The server's log says more.")
        }
    }

    /// The problem of an item of a request, whose fields are named from the request's own.
    init(_ error: SessionError, inField place: String) {
        guard case .invalid(let errors) = error else {
            self.init(error)
            return
        }
        self.init(errors.map { FieldError(field: place + $0.field, reason: $0.reason) })
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
        case .quotaReached(let quota, let needed, let used, let maximum):
            self.init(quota, needed: needed, used: used, maximum: maximum)
        case .storageFull:
            self = Problem(
                .storageFull, "The result was not stored; nothing changed. Reading goes on."
            ).retrying(afterSeconds: 30)
        case .reserveReached(let needed, let available, let reserve):
            self = Problem(
                .storageFull,
                "Nothing new is created: \(available) bytes are left on the disk, \(needed) are "
                    + "needed, and \(reserve) are kept for results. Delete something.",
                members: [
                    ("needed_bytes", .integer(needed)), ("available_bytes", .integer(available)),
                    ("reserve_bytes", .integer(reserve)),
                ]
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
        case .replication(let error):
            self.init(error)
        }
    }

    init(_ error: ReplicationError) {
        switch error {
        case .off:
            self.init(.replicationOff, "The setting replication is off.")
        case .fenced(let term):
            self = Problem(
                .fenced,
                "Another store was promoted with term \(term): what is written here would be lost. "
                    + "Send it to the new primary.",
                members: [("term", .integer(term))]
            ).retrying(afterSeconds: 5)
        case .standbyMissing(let seconds):
            self = Problem(
                .standbyMissing,
                "Each write has to be on the standby too, and there is none that has acknowledged "
                    + "anything for \(seconds) s. Nothing changed."
            ).retrying(afterSeconds: 2)
        case .unacknowledged(let seconds):
            self = Problem(
                .unacknowledged,
                "The write is stored here, and the standby has not acknowledged it within "
                    + "\(seconds) s: repeat it."
            ).retrying(afterSeconds: 2)
        case .gone:
            self.init(.changesGone, "The changes after that number are not kept: begin a new copy.")
        case .otherStandby(let other):
            self.init(
                .otherStandby, "Standby \(other) follows this server.",
                members: [("standby", .string(other))])
        case .fileMissing(let name):
            self.init(
                .notFound, "There is no file \(name).", members: [("resource", .string("file"))])
        case .failed(let reason):
            self = Problem(.notReady, reason).retrying(afterSeconds: 1)
        }
    }

    init(
        _ kind: Kind = .overloaded, limit: String, _ maximum: Int, retryAfterSeconds seconds: Int
    ) {
        self = Problem(
            kind, "The limit on \(limit), \(maximum), is reached; try again in \(seconds) s.",
            members: [("limit_name", .string(limit)), ("limit", .integer(maximum))]
        ).retrying(afterSeconds: seconds)
    }

    /// What passes by itself is 429; what lasts until the tenant deletes something is 507.
    init(_ quota: SessionError.Quota, needed: Int, used: Int, maximum: Int) {
        let (kind, seconds): (Kind, Int) =
            switch quota {
            case .requestsInFlight: (.tenantBusy, 1)
            case .memoryBytes: (needed > maximum ? .quotaExceeded : .tenantBusy, 1)
            case .sessions, .diskBytes: (.quotaExceeded, 60)
            }
        self = Problem(
            kind,
            "The tenant's quota of \(quota.rawValue) is \(maximum); \(used) are used, and the "
                + "request needs \(needed) more. Nothing changed.",
            members: [
                ("quota", .string(quota.rawValue)), ("limit", .integer(maximum)),
                ("used", .integer(used)), ("needed", .integer(needed)),
            ]
        ).retrying(afterSeconds: seconds)
    }

    init(
        _ kind: Kind, evaluation number: EvaluationNumber, _ what: String,
        _ pending: EvaluationNumber?
    ) {
        let now = pending.map { "evaluation \($0) is pending" } ?? "none is pending"
        self.init(
            kind, "Evaluation \(number) \(what); \(now).",
            members: [("evaluation", .integer(number))])
        if let pending { members.append(("pending_evaluation", .integer(pending))) }
    }

    static var shuttingDown: Problem {
        Problem(.shuttingDown, "The server is stopping; what was acknowledged is on disk.")
            .retrying(afterSeconds: 2)
    }
}
