internal import API
internal import HTTPServer
internal import Sessions
internal import Telemetry

/// The daemon's settings. The only place of their defaults; each property has a row in
/// `Setting.all`.
struct Settings: Sendable {
    var listen = ListenAddress(host: "127.0.0.1", port: 8080)
    var allowedHosts: [String] = []
    var tokenFile: String?
    var metricsAccess = MetricsAccess.auto
    var docsURL: String?
    var tenantSessionsMax = 0
    var tenantDiskBytesMax = 0
    var tenantMemoryBytesMax = 0
    var tenantRequestsInFlightMax = 0

    var data = DataLocation.directory("lbfgsd-data")
    var diskReserveBytes = 256 << 20

    var replication = ReplicationMode.off
    var standbyMissing = StandbyMissing.refuse
    var standbyTimeoutSeconds = Int(ReplicationConfiguration().timeoutSeconds)
    var replicationBufferBytes = ReplicationConfiguration().bufferBytesMax
    var replicationSegmentBytes = ReplicationConfiguration().segmentBytesMax
    var primaryTokenFile: String?

    var httpThreads = Settings.serverDefaults.threads
    var connectionsMax = Settings.serverDefaults.connectionsMax
    var connectionsPerAddressMax = Settings.serverDefaults.connectionsPerAddressMax
    var bodyBytesMax = 1 << 30
    var bodyBytesInFlightMax = Settings.serverDefaults.bodyBytesInFlightMax
    var responseBytesInFlightMax = Settings.serverDefaults.responseBytesInFlightMax
    var bytesInFlightPerAddressMax = Settings.serverDefaults.bytesInFlightPerAddressMax
    var stallTimeoutSeconds = Int(Settings.serverDefaults.responseStallSeconds)
    var headerTimeoutSeconds = Int(Settings.serverDefaults.headerDeadlineSeconds)
    var idleTimeoutSeconds = Settings.serverDefaults.idleTimeoutSeconds
    var waitersMax = Limits().waitersMax

    var sessionsMax = Limits().sessionsMax
    var parametersMax = Limits().parametersMax
    var sessionBytesMax = Limits().sessionBytesMax
    var checkpointsMax = Limits().checkpointsMax
    var expiresAfterDefault = Limits().expiresAfterDefault
    var expiresAfterMax = Limits().expiresAfterMax
    var tracePointsMax = Limits().tracePointsMax
    var residentSessionsMax = Limits().residentSessionsMax
    var residentBytesMax = MemoryBudget.percent(60)
    var idleEvictionSeconds = Int(Limits().idleSeconds)
    var snapshotInterval = Limits().snapshotIntervalEvaluations

    var webhookHosts: [String] = []
    var webhookNetworks: [String] = []
    var hookFile: String?

    var logLevel = LogLevel.info
    var logFormat = LogFormChoice.auto
    var auditLog = AuditLog.Coverage.changes
    var shutdownTimeoutSeconds = 10

    private static let serverDefaults = ServerConfiguration(
        listen: .address(host: "127.0.0.1", port: 8080))

    /// The limits of sessions.
    var limits: Limits {
        var limits = Limits()
        limits.waitersMax = waitersMax
        limits.sessionsMax = sessionsMax
        limits.parametersMax = parametersMax
        limits.sessionBytesMax = sessionBytesMax
        limits.checkpointsMax = checkpointsMax
        limits.expiresAfterDefault = expiresAfterDefault
        limits.expiresAfterMax = expiresAfterMax
        limits.tracePointsMax = tracePointsMax
        limits.residentSessionsMax = residentSessionsMax
        limits.residentBytesMax = residentBytesMax.resolved
        limits.idleSeconds = Double(idleEvictionSeconds)
        limits.snapshotIntervalEvaluations = snapshotInterval
        return limits
    }

    var replicationConfiguration: ReplicationConfiguration {
        var configuration = ReplicationConfiguration()
        configuration.mode = replication
        configuration.bufferBytesMax = replicationBufferBytes
        configuration.segmentBytesMax = replicationSegmentBytes
        configuration.timeoutSeconds = Double(standbyTimeoutSeconds)
        configuration.continuesAlone = standbyMissing == .continue
        return configuration
    }

    /// The quotas of tenants to which the token file gives none of their own.
    var tenantQuota: TenantQuota {
        func limit(_ value: Int) -> Int? { value == 0 ? nil : value }
        return TenantQuota(
            sessionsMax: limit(tenantSessionsMax), diskBytesMax: limit(tenantDiskBytesMax),
            memoryBytesMax: limit(tenantMemoryBytesMax),
            requestsInFlightMax: limit(tenantRequestsInFlightMax))
    }

    /// The configuration of the HTTP server.
    func serverConfiguration(
        listen: ServerConfiguration.Listener, further: [ServerConfiguration.Listener] = []
    ) -> ServerConfiguration {
        var configuration = ServerConfiguration(listen: listen)
        configuration.furtherListeners = further
        configuration.threads = httpThreads
        configuration.connectionsMax = connectionsMax
        configuration.connectionsPerAddressMax = connectionsPerAddressMax
        configuration.bodyBytesInFlightMax = bodyBytesInFlightMax
        configuration.responseBytesInFlightMax = responseBytesInFlightMax
        configuration.bytesInFlightPerAddressMax = bytesInFlightPerAddressMax
        configuration.responseStallSeconds = Double(stallTimeoutSeconds)
        configuration.headerDeadlineSeconds = Double(headerTimeoutSeconds)
        configuration.idleTimeoutSeconds = idleTimeoutSeconds
        // Running requests get half of the time; saving the sessions gets the rest.
        configuration.stopGraceSeconds = Double(shutdownTimeoutSeconds) / 2
        return configuration
    }
}

/// Logger.Level, by the names that an operator writes.
enum LogLevel: String, CaseIterable, Sendable {
    case trace
    case debug
    case info
    case notice
    case warning
    case error
    case critical

    var level: Logger.Level { Logger.Level(rawValue: rawValue) ?? .info }
}

/// What a synchronous daemon does without a standby.
enum StandbyMissing: String, CaseIterable, Sendable {
    case refuse
    case `continue`
}

/// Who may read `/metrics`.
enum MetricsAccess: String, CaseIterable, Sendable {
    /// Everybody, unless the token file gives scopes to its tokens: then as `admin`.
    case auto
    case open
    /// Tokens with the scope `admin`.
    case admin

    func isOpen(with file: TokenFile) -> Bool {
        switch self {
        case .auto: file.isPlain
        case .open: true
        case .admin: false
        }
    }
}

enum LogFormChoice: String, CaseIterable, Sendable {
    case auto
    case journal
    case timestamped
    case terminal
    case json

    func resolved(environment: [String: String]) -> LogFormat {
        switch self {
        case .auto: LogFormat.forStandardError(environment: environment)
        case .journal: .journal
        case .timestamped: .timestamped
        case .terminal: .terminal(colour: false)
        case .json: .json
        }
    }
}
