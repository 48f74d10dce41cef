/// What there is to know about a kind of problem: `GET /problems/{type}` shows it.
struct ProblemGuide {
    /// What happened, in one or two sentences.
    var meaning: String
    /// The members that such a problem may have, beside those that every problem has.
    var members: [String] = []
    /// What a client, or its operator, does about it.
    var action: String
}

extension Problem.Kind {
    /// The path of the kind's page, which is the `type` of its problems.
    var path: String { "/problems/\(rawValue)" }

    /// The one table of all kinds: the compiler refuses a kind without an entry.
    var guide: ProblemGuide {
        switch self {
        case .malformed:
            ProblemGuide(
                meaning: "The request is not valid HTTP or JSON, or a header field can't be "
                    + "parsed.",
                action: "Correct the client: `detail` says what is wrong and where. Repeating the "
                    + "request as it is changes nothing.")
        case .digestMismatch:
            ProblemGuide(
                meaning: "The body does not match its `Content-Digest`. Nothing changed.",
                members: ["content_digest", "computed_digest"],
                action: "Send the request again: the body was damaged on the way. If it happens "
                    + "each time, the digest is computed of other bytes than those that are sent.")
        case .unauthorized:
            ProblemGuide(
                meaning: "The token is missing or unknown, or it has expired or been revoked.",
                action: "Send `Authorization: Bearer <token>` with a token that the server's "
                    + "operator has given out.")
        case .foreignOrigin:
            ProblemGuide(
                meaning: "A web page of another origin made the browser send the request.",
                members: ["origin"],
                action: "Serve the page from the server's own origin, by a proxy before both, or "
                    + "call from a program.")
        case .misdirected:
            ProblemGuide(
                meaning: "The request's `Host` is not one of the server's names.",
                members: ["host"],
                action: "Use a name by which the server is known, or have its operator add this "
                    + "one to the setting `allowed-hosts`.")
        case .insufficientScope:
            ProblemGuide(
                meaning: "The token is valid, and lacks the scope that the operation needs.",
                members: ["scope"],
                action: "Use a token with that scope. No scope includes another.")
        case .notFound:
            ProblemGuide(
                meaning: "The path, or the session or other resource that it names, does not "
                    + "exist, or belongs to another tenant.",
                members: ["resource"],
                action: "Check the identifier. A session that expired or was deleted does not come "
                    + "back.")
        case .evaluationNotReached:
            ProblemGuide(
                meaning: "The evaluation has not been asked for yet.",
                members: ["evaluation", "pending_evaluation"],
                action: "Ask for the current turn, and evaluate the point that it has.")
        case .methodNotAllowed:
            ProblemGuide(
                meaning: "The path exists, but not with this method.",
                members: ["allow"],
                action: "Use one of the methods in `allow`.")
        case .notAcceptable:
            ProblemGuide(
                meaning: "The resource has no form that the request's `Accept` takes.",
                members: ["available"],
                action: "Send an `Accept` with one of the media types in `available`, or none.")
        case .requestTimeout:
            ProblemGuide(
                meaning: "The request did not arrive in time. It had no effect.",
                action: "Send it again, over a connection that is not as slow or as idle.")
        case .stepRunning:
            ProblemGuide(
                meaning: "The operation is only possible between steps, and a step runs.",
                members: ["step"],
                action: "Tell the results that the step waits for, or stop it, and repeat the "
                    + "request.")
        case .noStepRunning:
            ProblemGuide(
                meaning: "The operation is only possible while a step runs.",
                action: "Begin a step, and repeat the request.")
        case .alreadyTold:
            ProblemGuide(
                meaning: "The evaluation already has a different result, which stays in effect.",
                members: ["evaluation"],
                action: "Ask for the current turn and go on from there: another worker was first, "
                    + "or the function gives other bits for the same point.")
        case .evaluationClosed:
            ProblemGuide(
                meaning: "A stop or a restore has closed the evaluation, or it was told too long "
                    + "ago to be known.",
                members: ["evaluation", "pending_evaluation"],
                action: "Drop the result. Ask for the current turn, and evaluate the point that it "
                    + "has.")
        case .evaluationInShards:
            ProblemGuide(
                meaning: "The evaluation is told in shards, not as a whole.",
                members: ["evaluation", "shards"],
                action: "Tell each shard at `evaluations/{evaluation}/shards/{shard}`, from 0 on.")
        case .noShardFree:
            ProblemGuide(
                meaning: "All shards of the evaluation are told, or leased to workers.",
                members: ["evaluation", "retry_after_seconds"],
                action: "Ask again after `retry_after_seconds`, when a lease may have ended.")
        case .stepUndone:
            ProblemGuide(
                meaning: "A restore has undone the step that the idempotency key began.",
                members: ["step"],
                action: "Begin a step with a new key, if there should be one.")
        case .awaitingHook:
            ProblemGuide(
                meaning: "The session waits for the answer to a hook call.",
                members: ["hook_call", "retry_after_seconds"],
                action: "Answer the call, or wait until its default applies, and repeat the "
                    + "request.")
        case .hookCallNotReached:
            ProblemGuide(
                meaning: "The hook call has not been made yet.",
                members: ["hook_call"],
                action: "Take the number of the call from the turn.")
        case .hookCallClosed:
            ProblemGuide(
                meaning: "The deadline of the hook call has passed, or its hook was removed.",
                members: ["hook_call"],
                action: "Drop the answer: the default was applied. A longer `deadline_seconds` "
                    + "gives more time.")
        case .alreadyAnswered:
            ProblemGuide(
                meaning: "The hook call already has a different answer, which stays in effect.",
                members: ["hook_call"],
                action: "Ask for the current turn and go on from there: another client was first.")
        case .abortedByHook:
            ProblemGuide(
                meaning: "A hook call was not answered in time, and its default is to abort.",
                action: "Have a client answer the hook's calls, or remove the hook, and repeat the "
                    + "request.")
        case .lengthRequired:
            ProblemGuide(
                meaning: "The request has a body without a `Content-Length`.",
                action: "Send the length of the body: it is checked before the body is read.")
        case .preconditionFailed:
            ProblemGuide(
                meaning: "`If-Match` does not name the current state of the session.",
                members: ["current"],
                action: "Read the session again, decide whether the change is still wanted, and "
                    + "send it with the new entity tag.")
        case .contentTooLarge:
            ProblemGuide(
                meaning: "The body is longer than the operation reads.",
                members: ["limit"],
                action: "Send at most `limit` bytes. Vectors are shortest as octets; `/v1/limits` "
                    + "has the limits, which the operator sets.")
        case .unsupportedMediaType:
            ProblemGuide(
                meaning: "The operation does not read the body's `Content-Type`, or takes no body.",
                members: ["accepted"],
                action: "Send one of the media types in `accepted`, or no body if it is empty.")
        case .rangeNotSatisfiable:
            ProblemGuide(
                meaning: "None of the response's bytes is in the range.",
                members: ["length"],
                action: "Ask for a range below `length`. A download that ends there is complete.")
        case .invalidRequest:
            ProblemGuide(
                meaning: "The request can be read, but something in it is wrong. Nothing changed.",
                members: ["errors"],
                action: "Correct the fields that `errors` names, each with its reason.")
        case .idempotencyKeyReused:
            ProblemGuide(
                meaning: "The idempotency key was used for a different request.",
                action: "Use a new key for each request, and the same one only to repeat it.")
        case .busy:
            ProblemGuide(
                meaning: "Too many requests wait for this session.",
                members: ["limit_name", "limit", "retry_after_seconds"],
                action: "Wait `retry_after_seconds`, and send fewer requests for one session at "
                    + "once.")
        case .tenantBusy:
            ProblemGuide(
                meaning: "A quota of the tenant on memory or on requests in flight is reached, for "
                    + "the moment. Nothing changed.",
                members: ["quota", "limit", "used", "needed", "retry_after_seconds"],
                action: "Wait `retry_after_seconds` and repeat the request.")
        case .headersTooLarge:
            ProblemGuide(
                meaning: "The header fields are larger than the server's buffer.",
                action: "Send fewer or shorter fields; cookies mean nothing here.")
        case .corrupt:
            ProblemGuide(
                meaning: "What is stored of the session is damaged. Other sessions are not "
                    + "affected.",
                action: "The operator finds the reason in the server's log; `lbfgsd verify` and "
                    + "`lbfgsd salvage` say what can be had of it. The session can be deleted.")
        case .internal:
            ProblemGuide(
                meaning: "The server is at fault. It may be unknown whether the request took "
                    + "effect.",
                action: "Repeat the request, which is safe for GET, PUT and DELETE, and for POST "
                    + "with an `Idempotency-Key`. The server's log has the details, under "
                    + "`request_id`.")
        case .overloaded:
            ProblemGuide(
                meaning: "A limit of the server on what it does at once is reached. Nothing "
                    + "changed.",
                members: [
                    "limit_name", "limit", "needed_bytes", "reserved_bytes", "retry_after_seconds",
                ],
                action: "Wait `retry_after_seconds` and repeat the request. The operator may raise "
                    + "the limit that `limit_name` names.")
        case .shuttingDown:
            ProblemGuide(
                meaning: "The server is stopping. What was acknowledged is on disk.",
                members: ["retry_after_seconds"],
                action: "Repeat the request when the server, or its successor, is back.")
        case .notReady:
            ProblemGuide(
                meaning: "The store does not accept writes at the moment.",
                members: ["retry_after_seconds"],
                action: "Wait `retry_after_seconds` and repeat the request; `/readyz` says when "
                    + "the server is ready again.")
        case .unanswered:
            ProblemGuide(
                meaning: "The server did not answer within its own deadline. It is unknown whether "
                    + "the request took effect.",
                action: "Look at the session, or repeat the request: that is safe for GET, PUT and "
                    + "DELETE, and for POST with an `Idempotency-Key`.")
        case .storageFull:
            ProblemGuide(
                meaning: "The disk is full, or has only what is kept for results. Nothing changed; "
                    + "reads and deletions still work.",
                members: [
                    "needed_bytes", "available_bytes", "reserve_bytes", "retry_after_seconds",
                ],
                action: "Delete sessions or checkpoints, or have the operator make room.")
        case .quotaExceeded:
            ProblemGuide(
                meaning: "A quota of the tenant is reached, and stays so until the tenant deletes "
                    + "something. Nothing changed.",
                members: ["quota", "limit", "used", "needed", "retry_after_seconds"],
                action: "Delete sessions or checkpoints, or have the operator raise the quota. "
                    + "`/v1/limits` says what is used.")
        case .fenced:
            ProblemGuide(
                meaning: "Another store was promoted: this server takes no writes any more.",
                members: ["term", "retry_after_seconds"],
                action: "Send the request to the new primary.")
        case .standbyMissing:
            ProblemGuide(
                meaning: "Each write has to be on a standby too, and there is none. Nothing "
                    + "changed.",
                members: ["retry_after_seconds"],
                action: "Wait `retry_after_seconds` and repeat the request; the operator starts a "
                    + "standby.")
        case .unacknowledged:
            ProblemGuide(
                meaning: "The write is on the server's disk, and its standby has not acknowledged "
                    + "it in time.",
                members: ["retry_after_seconds"],
                action: "Repeat the request: it takes effect once, and is answered when the "
                    + "standby has it.")
        case .replicationOff:
            ProblemGuide(
                meaning: "The server's operator has not set up replication.",
                action: "The operator of a standby sets `replication` on its primary.")
        case .otherStandby:
            ProblemGuide(
                meaning: "Another standby follows the server.",
                members: ["standby"],
                action: "Stop one of the two standbys: a server has one.")
        case .changesGone:
            ProblemGuide(
                meaning: "The changes that the standby asks for are not kept.",
                action: "The standby begins a new copy, which it does by itself.")
        }
    }
}
