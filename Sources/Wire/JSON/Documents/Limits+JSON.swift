public import SessionModel

extension Limits {
    /// The limits that a client can run into, and the server's own on bodies, in bytes.
    public func json(bodyBytesMax: Int, vectorBodyBytesMax: Int, stateBodyBytesMax: Int) -> [UInt8]
    {
        JSONText.object { text in
            text.field("parameters_max", parametersMax)
            text.field("tensors_max", tensorsMax)
            text.field("session_bytes_max", sessionBytesMax)
            text.field("sessions_max", sessionsMax)
            text.field("resident_sessions_max", residentSessionsMax)
            text.field("resident_bytes_max", residentBytesMax)
            text.field("idle_seconds", idleSeconds)
            text.field("queued_requests_max", queuedRequestsMax)
            text.field("waiters_max", waitersMax)
            text.field("wait_seconds_max", waitSecondsMax)
            text.field("batch_items_max", batchItemsMax)
            text.field("batch_numbers_max", batchNumbersMax)
            text.field("name_length_max", nameLengthMax)
            text.field("labels_max", labelsMax)
            text.field("label_length_max", labelLengthMax)
            text.field("checkpoints_max", checkpointsMax)
            text.field("trace_points_max", tracePointsMax)
            text.field("shards_max", shardsMax)
            text.field("param_groups_max", groupsMax)
            text.field("hooks_max", hooksMax)
            text.field("hook_seconds_max", hookSecondsMax)
            text.field("lease_seconds_max", leaseSecondsMax)
            text.field("page_size_max", pageSizeMax)
            text.field("page_size_default", pageSizeDefault)
            text.field("snapshot_interval_evaluations", snapshotIntervalEvaluations)
            text.field("idempotency_seconds", idempotencySeconds)
            text.field("body_bytes_max", bodyBytesMax)
            text.field("vector_body_bytes_max", vectorBodyBytesMax)
            text.field("state_body_bytes_max", stateBodyBytesMax)
        }
    }
}

/// The body of the probes' responses: `{"status": "ok"}`.
public enum StatusDocument {
    public static func json(_ status: String) -> [UInt8] {
        JSONText.object { $0.field("status", status) }
    }
}
