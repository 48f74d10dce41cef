public import HTTPServer
internal import HTTPTypes
internal import Synchronization
public import Telemetry

/// For `HTTPServer(observe:)`: counts requests and measures their duration by route, and logs the
/// writes. The duration of long-polls and streams includes their waiting; they have routes of their
/// own.
public func makeObserve(
    metrics: MetricsRegistry, audit: AuditLog?
) -> @Sendable (CompletedExchange) -> Void {
    let observation = Observation(metrics: metrics)
    return { exchange in
        observation.observe(
            exchange.head.method, exchange.route?.pattern ?? "none", exchange.status,
            exchange.seconds)
        audit?.record(exchange)
    }
}

private final class Observation: Sendable {
    private struct Key: Hashable {
        var method: String
        var route: String
        var status: Int
    }

    private struct Instruments {
        var requests: Counter
        var seconds: Histogram
    }

    private let metrics: MetricsRegistry
    /// Caches the registry's instruments. It has at most routes x statuses entries: an unknown
    /// method counts as `other`, an unknown path as `none`.
    private let known = Mutex<[Key: Instruments]>([:])

    private static let methods: Set<HTTPRequest.Method> = [
        .get, .head, .put, .post, .patch, .delete, .options,
    ]
    private static let buckets = [
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
    ]

    init(metrics: MetricsRegistry) { self.metrics = metrics }

    func observe(_ method: HTTPRequest.Method, _ route: String, _ status: Int, _ seconds: Double) {
        let name = Observation.methods.contains(method) ? method.rawValue : "other"
        let instruments = instruments(Key(method: name, route: route, status: status))
        instruments.requests.increment()
        instruments.seconds.observe(seconds)
    }

    private func instruments(_ key: Key) -> Instruments {
        known.withLock { known in
            if let instruments = known[key] { return instruments }
            let labels = [("route", key.route), ("method", key.method)]
            let made = Instruments(
                requests: metrics.counter(
                    "lbfgsd_http_requests_total", help: "Requests answered.",
                    labels: labels + [("status", String(key.status))]),
                seconds: metrics.histogram(
                    "lbfgsd_http_request_seconds",
                    help: "From a request's header to the last byte of its answer.",
                    labels: labels, buckets: Observation.buckets))
            known[key] = made
            return made
        }
    }
}
