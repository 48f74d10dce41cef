public import HTTPServer
public import Sessions
public import Telemetry

/// All operations of openapi.yaml.
///
/// - Parameters:
///   - metrics: The registry behind `/metrics`.
///   - bodyBytesMax: The limit on every request body.
///   - probe: Whether the daemon can serve; `/readyz` answers 503 when it returns false. It should
///     return within the timeout of usual probes, a second or two.
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
