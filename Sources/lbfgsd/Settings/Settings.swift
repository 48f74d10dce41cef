internal import HTTPServer
internal import Sessions
internal import Telemetry

/// The daemon's settings. The only place of their defaults; each property has a row in
/// `Setting.all`.
struct Settings: Sendable {
    var listen = ListenAddress(host: "127.0.0.1", port: 8080)
    var tokenFile: String?

    var data = DataLocation.directory("lbfgsd-data")

    var httpThreads = Settings.serverDefaults.threads
    var connectionsMax = Settings.serverDefaults.connectionsMax
    var connectionsPerAddressMax = Settings.serverDefaults.connectionsPerAddressMax
    var bodyBytesMax = 1 << 30
    var bodyBytesInFlightMax = Settings.serverDefaults.bodyBytesInFlightMax
    var headerTimeoutSeconds = Int(Settings.serverDefaults.headerDeadlineSeconds)
    var idleTimeoutSeconds = Settings.serverDefaults.idleTimeoutSeconds
    var waitersMax = Limits().waitersMax

    var sessionsMax = Limits().sessionsMax
    var parametersMax = Limits().parametersMax
    var sessionBytesMax = Limits().sessionBytesMax
    var checkpointsMax = Limits().checkpointsMax
    var tracePointsMax = Limits().tracePointsMax
    var residentSessionsMax = Limits().residentSessionsMax
    var residentBytesMax = MemoryBudget.percent(60)
    var idleEvictionSeconds = Int(Limits().idleSeconds)
    var snapshotInterval = Limits().snapshotIntervalEvaluations

    var webhookHosts: [String] = []
    var webhookNetworks: [String] = []
    var hookFile: String?

    var logLevel = LogLevel.info
    var logForm = LogFormChoice.auto
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
        limits.tracePointsMax = tracePointsMax
        limits.residentSessionsMax = residentSessionsMax
        limits.residentBytesMax = residentBytesMax.resolved
        limits.idleSeconds = Double(idleEvictionSeconds)
        limits.snapshotIntervalEvaluations = snapshotInterval
        return limits
    }

    /// The configuration of the HTTP server.
    func serverConfiguration(listen: ServerConfiguration.Listener) -> ServerConfiguration {
        var configuration = ServerConfiguration(listen: listen)
        configuration.threads = httpThreads
        configuration.connectionsMax = connectionsMax
        configuration.connectionsPerAddressMax = connectionsPerAddressMax
        configuration.bodyBytesInFlightMax = bodyBytesInFlightMax
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

enum LogFormChoice: String, CaseIterable, Sendable {
    case auto
    case journal
    case stamped
    case terminal

    func form(environment: [String: String]) -> LogFormat {
        switch self {
        case .auto: LogFormat.forStandardError(environment: environment)
        case .journal: .journal
        case .stamped: .timestamped
        case .terminal: .terminal(colour: false)
        }
    }
}
