internal import API
internal import HTTPServer
internal import Sessions
internal import Synchronization
internal import Telemetry

internal import struct Foundation.Date

/// The tokens in force. A reload replaces them while requests are being checked.
final class AccessControl: Sendable {
    private let path: String?
    private let metricsAccess: MetricsAccess
    private let current: Mutex<AccessPolicy>
    /// What the tenants use and may use.
    let ledger: TenantLedger

    /// Without a token file every client is admitted.
    init(_ settings: Settings, log: Logger) throws(CommandFailure) {
        path = settings.tokenFile
        metricsAccess = settings.metricsAccess
        ledger = TenantLedger(defaults: settings.tenantQuota)
        var policy = AccessPolicy(tokens: nil, now: AccessControl.seconds(), ledger: ledger)
        if let path {
            let file = try AccessControl.read(path, log: log)
            ledger.replaceQuotas(file.quotas)
            policy.tokens = file.bearerTokens
            policy.isMetricsOpen = metricsAccess.isOpen(with: file)
        }
        current = Mutex(policy)
    }

    var policy: AccessPolicy { current.withLock { $0 } }

    var isRestricted: Bool { path != nil }

    /// Reads the file again. If the file is wrong, the present tokens stay in force.
    /// - Returns: Whether the tokens were replaced.
    func reload(log: Logger) -> Bool {
        guard let path else {
            log.notice("nothing to reload: there is no token file")
            return false
        }
        do {
            let file = try AccessControl.read(path, log: log)
            ledger.replaceQuotas(file.quotas)
            current.withLock { policy in
                policy.tokens = file.bearerTokens
                policy.isMetricsOpen = metricsAccess.isOpen(with: file)
                policy.now = AccessControl.seconds()
            }
            log.notice("reloaded the token file")
            return true
        } catch {
            let what = error.messages.joined(separator: "; ")
            log.error("kept the old tokens", metadata: ["error": "\(what)"])
            return false
        }
    }

    /// Reads the clock once a second, and ends what expired tokens have open. Returns when its task
    /// is cancelled.
    func watchClock(_ server: HTTPServer) async {
        while !Task.isCancelled {
            let time = Date().timeIntervalSince1970
            // A little after the second has begun, when tokens expire.
            let rest = 1 - (time - time.rounded(.down)) + 0.002
            try? await Task.sleep(for: .seconds(rest))
            let now = AccessControl.seconds()
            let hasExpired = current.withLock { policy in
                defer { policy.now = now }
                return policy.hasExpiry(after: policy.now, upTo: now)
            }
            if hasExpired { endRevoked(server) }
        }
    }

    /// Ends the long-polls and streams whose tokens are accepted no more.
    func endRevoked(_ server: HTTPServer) {
        let policy = policy
        server.endReads { policy.revocation(of: $0) }
    }

    private static func seconds() -> Int64 { Int64(Date().timeIntervalSince1970) }

    private static func read(_ path: String, log: Logger) throws(CommandFailure) -> TokenFile {
        let file = try TokenFile.read(path)
        if let warning = file.warning { log.warning("\(warning)") }
        return file
    }
}
