internal import HTTPServer
internal import Telemetry

/// What the HTTP server does at this moment, among the metrics.
enum ServerMetrics {
    static func register(_ server: HTTPServer, in registry: MetricsRegistry) {
        registry.gauge(
            "lbfgsd_http_connections_open", help: "Connections that clients have open.",
            reading: { [weak server] in server.map { Double($0.activity.connectionsOpen) } })
        registry.gauge(
            "lbfgsd_http_exchanges_in_flight",
            help: "Requests that are not answered to the end yet, long-polls and streams included.",
            reading: { [weak server] in server.map { Double($0.activity.exchangesInFlight) } })
        registry.gauge(
            "lbfgsd_http_exchanges_suspended",
            help: "Exchanges in flight that wait for their handler or their stream.",
            reading: { [weak server] in server.map { Double($0.activity.exchangesSuspended) } })
        registry.gauge(
            "lbfgsd_http_body_bytes_in_flight", help: "Request bodies held in memory, in bytes.",
            reading: { [weak server] in server.map { Double($0.activity.bodyBytesInFlight) } })
        registry.gauge(
            "lbfgsd_http_response_bytes_in_flight",
            help: "Memory held by responses that clients have not read to the end, in bytes.",
            reading: { [weak server] in server.map { Double($0.activity.responseBytesInFlight) } })
        registry.counter(
            "lbfgsd_http_connections_rejected_total",
            help: "Connections rejected because a limit was reached.",
            reading: { [weak server] in server.map { Double($0.activity.connectionsRejected) } })
        registry.counter(
            "lbfgsd_http_connections_timed_out_total", help: "Connections closed at a deadline.",
            reading: { [weak server] in server.map { Double($0.activity.connectionsTimedOut) } })
    }
}
