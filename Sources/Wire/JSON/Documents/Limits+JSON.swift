public import SessionModel

extension Limits {
    /// The limits that a client can run into, and the server's own on connections and bodies.
    public func json(server: ServerLimits, usage: TenantUsage) -> [UInt8] {
        JSONText.object { text in
            text.field("parameters_max", parametersMax)
            text.field("tensors_max", tensorsMax)
            text.field("rank_max", rankMax)
            text.field("history_size_max", historySizeMax)
            text.field("session_bytes_max", sessionBytesMax)
            text.field("disk_reserve_bytes", diskReserveBytes)
            text.field("sessions_max", sessionsMax)
            text.field("resident_sessions_max", residentSessionsMax)
            text.field("resident_bytes_max", residentBytesMax)
            text.field("idle_seconds", idleSeconds)
            text.field("queued_requests_max", queuedRequestsMax)
            text.field("waiting_writes_max", waitingWritesMax)
            text.field("waiting_write_bytes_max", waitingWriteBytesMax)
            text.field("waiting_reads_max", waitingReadsMax)
            text.field("waiters_max", waitersMax)
            text.field("wait_seconds_max", waitSecondsMax)
            text.field("batch_items_max", batchItemsMax)
            text.field("batch_numbers_max", batchNumbersMax)
            text.field("ensemble_members_max", ensembleMembersMax)
            text.field("ensemble_numbers_max", ensembleNumbersMax)
            text.field("ensemble_ask_max", ensembleAskMax)
            text.field("ensembles_max", ensemblesMax)
            text.field("resident_ensembles_max", residentEnsemblesMax)
            text.field("name_length_max", nameLengthMax)
            text.field("labels_max", labelsMax)
            text.field("label_length_max", labelLengthMax)
            text.field("reason_length_max", reasonLengthMax)
            text.field("url_length_max", urlLengthMax)
            text.field("checkpoints_max", checkpointsMax)
            text.field("trace_points_max", tracePointsMax)
            text.field("shards_max", shardsMax)
            text.field("param_groups_max", groupsMax)
            text.field("hooks_max", hooksMax)
            text.field("hook_seconds_max", hookSecondsMax)
            text.field("expires_after_default", expiresAfterDefault)
            text.field("expires_after_max", expiresAfterMax)
            text.field("lease_seconds_max", leaseSecondsMax)
            text.field("json_values_max", jsonValuesMax)
            text.field("json_string_bytes_max", jsonStringBytesMax)
            text.field("active_bounds_max", activeBoundsMax)
            text.field("page_size_max", pageSizeMax)
            text.field("page_size_default", pageSizeDefault)
            text.field("listing_bytes_max", listingBytesMax)
            text.field("feeds_max", feedsMax)
            text.field("watched_sessions_max", watchedSessionsMax)
            text.field("snapshot_interval_evaluations", snapshotIntervalEvaluations)
            text.field("idempotency_seconds", idempotencySeconds)
            text.field("idempotency_keys_max", idempotencyKeysMax)
            text.field("deliveries_max", deliveriesMax)
            text.field("connections_max", server.connectionsMax)
            text.field("connections_per_address_max", server.connectionsPerAddressMax)
            text.field("body_bytes_max", server.bodyBytesMax)
            text.field("vector_body_bytes_max", server.vectorBodyBytesMax)
            text.field("state_body_bytes_max", server.stateBodyBytesMax)
            text.field("session_file_bytes_max", server.sessionFileBytesMax)
            text.field("body_bytes_in_flight_max", server.bodyBytesInFlightMax)
            text.field("response_bytes_in_flight_max", server.responseBytesInFlightMax)
            text.field("bytes_in_flight_per_address_max", server.bytesInFlightPerAddressMax)
            usage.write(to: &text)
        }
    }
}

/// The server's own limits: of connections, and in bytes.
public struct ServerLimits: Sendable {
    /// Of all addresses, and of one; 0 for no limit.
    public var connectionsMax = 0
    public var connectionsPerAddressMax = 0
    public var bodyBytesMax = 0
    public var vectorBodyBytesMax = 0
    public var stateBodyBytesMax = 0
    public var sessionFileBytesMax = 0
    /// Of all requests' bodies, of all responses, and of both for one address; 0 for no limit.
    public var bodyBytesInFlightMax = 0
    public var responseBytesInFlightMax = 0
    public var bytesInFlightPerAddressMax = 0

    public init() {}
}

extension TenantUsage {
    fileprivate func write(to text: inout JSONText) {
        text.field("tenant") { text in
            text.field("name", tenant)
            text.field("sessions", sessions)
            text.field("sessions_max", quota.sessionsMax)
            text.field("disk_bytes", diskBytes)
            text.field("disk_bytes_max", quota.diskBytesMax)
            text.field("memory_bytes", memoryBytes)
            text.field("memory_bytes_max", quota.memoryBytesMax)
            text.field("requests_in_flight", requestsInFlight)
            text.field("requests_in_flight_max", quota.requestsInFlightMax)
        }
    }
}

/// The body of `GET /` for programs: where the rest is.
public enum IndexDocument {
    public static func json(openAPI: String) -> [UInt8] {
        JSONText.object { text in
            text.field("name", "lbfgsd")
            text.field("openapi", openAPI)
            text.field("sessions", "/v1/sessions")
            text.field("page", "/ui")
        }
    }
}

/// The body of the probes' responses: `{"status": "ok"}`.
public enum StatusDocument {
    public static func json(_ status: String) -> [UInt8] {
        JSONText.object { $0.field("status", status) }
    }
}
