internal import HTTPServer
internal import HTTPTypes
internal import Telemetry

/// Logs who changed what: one line for each request that could write, refused ones included.
///
/// The line is written when the response has been sent, so a change that was on disk when the
/// process was killed may have none. It has its own label, `audit`, and does not depend on the
/// log's level.
public struct AuditLog: Sendable {
    /// Which writes have a line.
    public enum Coverage: String, CaseIterable, Sendable {
        case off
        /// All but those of the optimization itself, steps, results and their like, and what a
        /// standby asks for: of these there may be thousands a second.
        case changes
        case all
    }

    /// The operations that make up an optimization's loop, and a standby's.
    private static let loopOperations: Set = [
        "beginStep", "tellResult", "tellShard", "leaseShard", "evaluateBatch", "zeroGrad",
        "answerHookCall", "askEnsemble", "tellEnsemble", "takeReplicationChanges",
    ]

    private let coverage: Coverage
    private let log: Logger

    /// nil if nothing is to be logged, so that requests pay nothing.
    public init?(_ coverage: Coverage) {
        guard coverage != .off else { return nil }
        self.coverage = coverage
        var log = Logger(label: "audit")
        log.logLevel = .info
        self.log = log
    }

    func record(_ exchange: CompletedExchange) {
        let head = exchange.head
        guard head.method != .get, head.method != .head, head.method != .options else { return }
        let operation = exchange.route?.operationID
        if coverage == .changes, let operation, AuditLog.loopOperations.contains(operation) {
            return
        }
        let caller = head.caller
        var metadata: Logger.Metadata = [
            "caller": "\(caller.name)", "tenant": "\(caller.tenant)",
            "peer": "\(head.remoteAddress)", "method": "\(head.method.rawValue)",
            "path": "\(AuditLog.path(of: head))", "status": "\(exchange.status)",
            "request_id": "\(head.requestID)",
        ]
        for (name, collection) in [("session", "sessions"), ("ensemble", "ensembles")] {
            if let id = AuditLog.resource(collection, of: head)
                ?? exchange.location.flatMap({ AuditLog.resource(collection, in: $0) })
            {
                metadata[name] = "\(id)"
            }
        }
        let sessions = head.admission?.sessions ?? []
        if !sessions.isEmpty { metadata["sessions"] = "\(sessions.joined(separator: " "))" }
        if let location = exchange.location { metadata["created"] = "\(location)" }
        if let trace = head.traceID { metadata["trace_id"] = "\(trace)" }
        log.info("\(operation ?? "none")", metadata: metadata)
    }

    /// The target without its query, and no longer than a path of the API can be.
    private static func path(of head: RequestHead) -> String {
        String(head.target.prefix { $0 != "?" }.prefix(256))
    }

    private static func resource(_ collection: String, of head: RequestHead) -> String? {
        guard head.path.count > 2, head.path[0] == "v1", head.path[1] == collection else {
            return nil
        }
        return String(head.path[2].prefix(64))
    }

    /// The resource in a location such as `/v1/sessions/{session}`.
    private static func resource(_ collection: String, in location: String) -> String? {
        let parts = location.split(separator: "/")
        return parts.count > 2 && parts[1] == collection ? String(parts[2]) : nil
    }
}
