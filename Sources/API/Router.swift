public import HTTPServer
public import Sessions
public import Telemetry

/// All operations of openapi.yaml.
///
/// - Parameters:
///   - metrics: What `/metrics` shows.
///   - bodyBytesMax: The largest body that any operation reads.
///   - probe: Whether the server can do its work: `/readyz` answers 503 when it can't. The answer
///     should take no longer than a probe's patience, a second or two.
public func makeRouter(
    service: SessionService, metrics: MetricsRegistry, bodyBytesMax: Int = .max,
    probe: @escaping @Sendable () async -> Bool
) -> Router {
    let operations = Operations(
        service: service, metrics: metrics, bodies: BodyLimits(service.limits, most: bodyBytesMax),
        probe: probe)
    return Router(
        operations.sessions + operations.steps + operations.evaluations + operations.parameters
            + operations.stateDict + operations.checkpoints + operations.trace + operations.events
            + operations.paramGroups + operations.hooks + operations.server)
}
