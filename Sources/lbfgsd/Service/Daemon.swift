internal import API
internal import Ensembles
internal import Glibc
internal import HTTPServer
internal import SQLiteStore
internal import Sessions
internal import Telemetry
internal import Webhooks

/// The daemon's life cycle: open the store, serve, and at a signal save everything and end.
struct Daemon {
    private static let censusSeconds = 5.0

    private let settings: Settings
    private let manager: ServiceManager
    private let log: Logger
    private let registry: MetricsRegistry
    private let disk: DiskMonitor?
    private let access: AccessControl
    private let store: any Store
    private let eventLoopHooks: EventLoopHooks
    private let service: SessionService
    private let ensembles: EnsembleService
    private let hooks: HookSetup
    /// nil if no standby may follow.
    private let replication: SQLiteStore?

    /// Returns when a signal has stopped it and every session is saved.
    static func run(
        _ settings: Settings, manager: ServiceManager, log: Logger
    ) async throws(CommandFailure) {
        // Installed first, so that a signal during start-up is not lost.
        let signals = SignalWatcher()
        let access = try AccessControl(settings, log: log)
        let endpoint = try Endpoint(settings: settings, manager: manager)
        try ExposureRule.check(endpoint.address, hasTokens: access.isRestricted)
        let hooks = try HookSetup(settings)
        let registry = MetricsRegistry()
        let store = try await StoreOpening.open(
            settings.data, tracePointsMax: settings.tracePointsMax,
            keepsReserve: settings.diskReserveBytes > 0,
            replication: ReplicationWatch.configuration(settings, log: log), registry: registry,
            log: log)
        let daemon = Daemon(
            settings: settings, manager: manager, log: log, access: access, store: store,
            hooks: hooks, registry: registry)
        try await daemon.serve(at: endpoint, until: signals)
    }

    private init(
        settings: Settings, manager: ServiceManager, log: Logger, access: AccessControl,
        store: any Store, hooks: HookSetup, registry: MetricsRegistry
    ) {
        self.registry = registry
        self.settings = settings
        self.manager = manager
        self.log = log
        self.access = access
        self.store = store
        replication = settings.replication == .off ? nil : store as? SQLiteStore
        if let replication { ReplicationWatch.register(replication, in: registry) }
        eventLoopHooks = (store as? SQLiteStore).map(EventLoopHooks.init) ?? EventLoopHooks()
        self.hooks = hooks
        var limits = settings.limits
        if let store = store as? SQLiteStore {
            let fileSystemBytes = store.fileSystemBytes() ?? .max
            limits.diskReserveBytes = min(settings.diskReserveBytes, fileSystemBytes / 16)
            disk = DiskMonitor(
                store, reserveBytes: limits.diskReserveBytes, registry: registry, log: log)
        } else {
            disk = nil
        }
        service = SessionService(
            store: store, limits: limits, metrics: registry, hooking: hooks.hooking,
            background: BackgroundWork(), tenants: access.ledger)
        ensembles = EnsembleService(service, metrics: registry)
        registry.gauge(
            "lbfgsd_build_info", help: "Always 1; its label tells the version.",
            labels: [("version", Version.current)]
        ).set(1)
    }

    private func serve(
        at endpoint: Endpoint, until signals: SignalWatcher
    ) async throws(CommandFailure) {
        let configuration = settings.serverConfiguration(
            listen: endpoint.listener, further: endpoint.furtherListeners)
        let router = makeRouter(configuration)
        let server = makeServer(router, configuration, at: endpoint)
        do {
            try server.start()
        } catch {
            await store.close()
            throw CommandFailure(.unavailable, error.description)
        }
        let url = endpoint.url(port: server.port)
        log.notice(
            "ready",
            metadata: [
                "version": "\(Version.current)", "url": "\(url)",
                "data": "\(settings.data.text)", "pid": "\(getpid())",
            ])
        log.debug("allocator", metadata: ["name": "\(Allocator.name)"])
        manager.notify(.ready(status: "Serving \(url)"))
        let backgroundTasks = startBackgroundTasks(server)
        for await event in signals.events {
            if event == .stop { break }
            manager.notify(.reloading)
            if access.reload(log: log) { access.endRevoked(server) }
            manager.notify(.ready(status: "Serving \(url)"))
        }
        await stop(server, backgroundTasks: backgroundTasks, unlessAgain: signals)
    }

    private func makeRouter(_ configuration: ServerConfiguration) -> Router {
        let readiness = Readiness(store: store, disk: disk, replication: replication)
        return API.makeRouter(
            service: service, ensembles: ensembles, metrics: registry,
            bodyBytesMax: settings.bodyBytesMax, configuration: configuration,
            replication: replication, documentation: settings.docsURL,
            probe: { await readiness.failure() })
    }

    private func makeServer(
        _ router: Router, _ configuration: ServerConfiguration, at endpoint: Endpoint
    ) -> HTTPServer {
        let server = HTTPServer(
            configuration: configuration, router: router,
            authorize: makeAdmit(
                hosts: endpoint.allowedHosts(settings.allowedHosts),
                policy: { [access] in access.policy }),
            renderRejection: API.renderRejection,
            observe: makeObserve(metrics: registry, audit: AuditLog(settings.auditLog)),
            hooks: eventLoopHooks)
        ServerMetrics.register(server, in: registry)
        return server
    }

    /// Starts what runs beside serving: eviction of idle sessions, webhooks and the watchdog.
    private func startBackgroundTasks(_ server: HTTPServer) -> [Task<Void, Never>] {
        var backgroundTasks = [
            Task {
                [service, ensembles, seconds = min(30, max(1, settings.idleEvictionSeconds / 4))] in
                while !Task.isCancelled {
                    try? await Task.sleep(for: .seconds(seconds))
                    await ensembles.releaseIdleEnsembles()
                    await service.releaseIdleSessions()
                }
            }
        ]
        backgroundTasks.append(
            Task { [service, ensembles] in
                while !Task.isCancelled {
                    await service.takeCensus()
                    await ensembles.expire()
                    try? await Task.sleep(for: .seconds(Daemon.censusSeconds))
                }
            })
        if let replication {
            let watch = ReplicationWatch(replication, settings: settings, log: log)
            backgroundTasks.append(Task { await watch.run() })
        }
        if let disk { backgroundTasks.append(Task { await disk.run() }) }
        if access.isRestricted {
            backgroundTasks.append(Task { [access] in await access.watchClock(server) })
        }
        if hooks.targets.isEnabled {
            let dispatcher = WebhookDispatcher(
                store: store, service: service, targets: hooks.targets, registry: registry,
                log: log)
            backgroundTasks.append(
                Task { [wakes = hooks.wakes] in await dispatcher.run(wakes: wakes) })
        }
        if let limit = manager.watchdogSeconds {
            let watchdog = Watchdog(
                limitSeconds: limit, manager: manager, request: SelfRequest(server: server),
                store: store, log: log)
            backgroundTasks.append(Task { await watchdog.run() })
        }
        return backgroundTasks
    }

    /// Ends requests, then saves the sessions, then closes the store: each depends on the next.
    private func stop(
        _ server: HTTPServer, backgroundTasks: [Task<Void, Never>],
        unlessAgain signals: SignalWatcher
    ) async {
        manager.notify(.stopping)
        log.notice("stopping")
        ShutdownDeadline.begin(seconds: settings.shutdownTimeoutSeconds) { [log] in
            log.critical("stopping took too long; what was acknowledged is on disk")
        }
        let secondSignal = Task { [log, events = signals.events] in
            for await event in events where event == .stop {
                log.critical("stopped by a second signal; what was acknowledged is on disk")
                _exit(ExitStatus.failure.rawValue)
            }
        }
        server.quiesce()
        for task in backgroundTasks { task.cancel() }
        // A client that has just connected is still served: its request is on the way.
        try? await Task.sleep(for: .milliseconds(250))
        // A standby's requests end with the others', so nothing is acknowledged any more.
        replication?.endReplication()
        await server.stop()
        await ensembles.shutdown()
        await service.shutdown()
        await store.close()
        secondSignal.cancel()
        log.notice("stopped")
    }
}

extension EventLoopHooks {
    /// Each event loop commits the entries of its requests as a group.
    init(_ store: SQLiteStore) {
        self.init(
            didWake: { store.eventLoopWoke() }, didDrain: { store.eventLoopDrained() },
            willBlock: { store.eventLoopWillBlock() })
    }
}
