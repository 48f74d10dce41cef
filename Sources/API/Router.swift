public import Ensembles
public import HTTPServer
public import Sessions
public import Telemetry

/// All operations of openapi.yaml, and the page for browsers.
///
/// - Parameters:
///   - metrics: The registry behind `/metrics`.
///   - bodyBytesMax: The limit on every request body.
///   - ensembles: nil for those of the service.
///   - configuration: The server's, whose limits are shown to clients.
///   - replication: What a standby follows, and what writes wait for; nil if there is no standby.
///   - documentation: Where `/docs` leads; nil if there is no site.
///   - probe: Why the daemon can't serve, for `/readyz` to answer 503; nil if it can. It should
///     return within the timeout of usual probes, a second or two.
public func makeRouter(
    service: SessionService, ensembles: EnsembleService? = nil, metrics: MetricsRegistry,
    bodyBytesMax: Int = .max,
    configuration: ServerConfiguration = ServerConfiguration(listen: .unix(path: "")),
    replication: (any ReplicationSource)? = nil, documentation: String? = nil,
    probe: @escaping @Sendable () async -> String?
) -> Router {
    let operations = Operations(
        service: service, ensembles: ensembles ?? EnsembleService(service), metrics: metrics,
        bodies: BodyLimits(service.limits, most: bodyBytesMax), configuration: configuration,
        probe: probe, replication: replication, documentation: documentation)
    return Router(
        operations.sessions + operations.steps + operations.evaluations + operations.parameters
            + operations.bounds + operations.stateDict + operations.checkpoints + operations.trace
            + operations.events + operations.paramGroups + operations.hooks + operations.transfer
            + operations.ensembleRoutes + operations.server + operations.replicationRoutes
            + operations.page)
}
