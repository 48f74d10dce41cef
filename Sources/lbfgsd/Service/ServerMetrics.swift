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
            "lbfgsd_http_exchanges_waiting",
            help: "Of the exchanges in flight, those that wait for their handler or their stream.",
            reading: { [weak server] in server.map { Double($0.activity.exchangesSuspended) } })
        registry.gauge(
            "lbfgsd_http_body_bytes_in_flight", help: "Request bodies held in memory, in bytes.",
            reading: { [weak server] in server.map { Double($0.activity.bodyBytesInFlight) } })
        registry.counter(
            "lbfgsd_http_connections_refused_total", help: "Connections turned away for a limit.",
            reading: { [weak server] in server.map { Double($0.activity.connectionsRejected) } })
        registry.counter(
            "lbfgsd_http_connections_cut_total", help: "Connections closed at a deadline.",
            reading: { [weak server] in server.map { Double($0.activity.connectionsTimedOut) } })
    }
}
