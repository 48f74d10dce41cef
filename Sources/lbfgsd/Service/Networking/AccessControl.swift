internal import API
internal import Synchronization
internal import Telemetry

/// The tokens in force. A reload replaces them while requests are being checked.
final class AccessControl: Sendable {
    private let path: String?
    private let current: Mutex<BearerTokens?>

    /// Without a token file every client is admitted.
    init(tokenFile path: String?, log: Logger) throws(CommandFailure) {
        self.path = path
        current = Mutex(try AccessControl.read(path, log: log))
    }

    var tokens: BearerTokens? { current.withLock { $0 } }

    var isRestricted: Bool { path != nil }

    /// Reads the file again. If the file is wrong, the present tokens stay in force.
    func reload(log: Logger) {
        guard path != nil else {
            log.notice("nothing to reload: there is no token file")
            return
        }
        do {
            let tokens = try AccessControl.read(path, log: log)
            current.withLock { $0 = tokens }
            log.notice("reloaded the token file")
        } catch {
            let what = error.messages.joined(separator: "; ")
            log.error("kept the old tokens", metadata: ["error": "\(what)"])
        }
    }

    private static func read(_ path: String?, log: Logger) throws(CommandFailure) -> BearerTokens? {
        guard let path else { return nil }
        let file = try TokenFile.read(path)
        if let warning = file.warning { log.warning("\(warning)") }
        return BearerTokens(tokens: file.tokens.map { $0.reveal() })
    }
}
