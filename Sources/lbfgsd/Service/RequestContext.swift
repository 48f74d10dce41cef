internal import HTTPServer
internal import Telemetry

/// Tells on each line of the log which request was being handled, if one was.
enum RequestContext {
    @Sendable static func metadata() -> Logger.Metadata {
        guard let head = RequestHead.current else { return [:] }
        var metadata: Logger.Metadata = ["request_id": "\(head.requestID)"]
        if let trace = head.traceID { metadata["trace_id"] = "\(trace)" }
        return metadata
    }
}
