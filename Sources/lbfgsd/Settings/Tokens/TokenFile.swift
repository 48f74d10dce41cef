internal import API
internal import Foundation
internal import Sessions
internal import Telemetry

/// The bearer tokens that the daemon accepts, and the tenants that they belong to.
struct TokenFile {
    /// A plain file has a token a line: one tenant, every scope.
    var isPlain: Bool
    var credentials: [Credential]
    /// The quotas that the file gives to tenants; others have the defaults of the settings.
    var quotas: [String: TenantQuota] = [:]
    /// A warning about the file, which doesn't stop the daemon.
    var warning: String?

    static let lengthMin = 16
    private static let bytesMax = 1 << 20

    var bearerTokens: BearerTokens { BearerTokens(credentials) }

    /// Throws when the file holds no token (it would lock out every client, or writing it was
    /// interrupted) or a wrong one. Messages name lines and fields, never tokens.
    static func read(_ path: String) throws(CommandFailure) -> TokenFile {
        let text: String
        do {
            let data = try Data(contentsOf: URL(filePath: path))
            guard data.count <= bytesMax, let decoded = String(validating: data, as: UTF8.self)
            else {
                throw CommandFailure(
                    .configuration, "token-file \(path): is no text of at most 1 MiB")
            }
            text = decoded
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(
                .configuration, "token-file \(path): can't be read: \(FileErrorText.text(error))")
        }
        var file = isYAML(text, path) ? try parseYAML(text, path: path) : try parse(text, path)
        guard !file.credentials.isEmpty else {
            throw CommandFailure(
                .configuration,
                "token-file \(path): holds no token; make one with: "
                    + (file.isPlain ? "openssl rand -hex 32" : "lbfgsd token new"))
        }
        file.warning = warning(for: path)
        return file
    }

    /// By the file's name, or its first line: a plain token is one word of 16 characters.
    private static func isYAML(_ text: String, _ path: String) -> Bool {
        if path.hasSuffix(".yaml") || path.hasSuffix(".yml") { return true }
        let lines = text.split(whereSeparator: \.isNewline).lazy.map {
            $0.drop(while: \.isWhitespace)
        }
        guard let first = lines.first(where: { !$0.isEmpty && !$0.hasPrefix("#") }) else {
            return false
        }
        return ["- ", "---", "[", "{", "tokens:", "tenants:"].contains { first.hasPrefix($0) }
    }

    private static func parse(
        _ text: String, _ path: String
    ) throws(CommandFailure) -> TokenFile {
        var tokens: [Secret] = []
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (index, line) in lines.enumerated() {
            let words = line.split(whereSeparator: \.isWhitespace)
            guard let token = words.first, !token.hasPrefix("#") else { continue }
            guard words.dropFirst().first?.hasPrefix("#") ?? true,
                token.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
            else {
                throw CommandFailure(
                    .configuration,
                    "token-file \(path):\(index + 1): a token is one word of ASCII characters")
            }
            guard token.utf8.count >= lengthMin else {
                throw CommandFailure(
                    .configuration,
                    "token-file \(path):\(index + 1): a token has at least \(lengthMin) characters;"
                        + " make one with: openssl rand -hex 32")
            }
            tokens.append(Secret(String(token)))
        }
        let plain = BearerTokens(tokens: tokens.map { $0.reveal() })
        return TokenFile(isPlain: true, credentials: plain.credentials)
    }

    /// A file that others can read exposes the tokens. systemd's credentials carry an access
    /// list, whose mask shows as the group's permission; nobody else can enter their directory.
    private static func warning(for path: String) -> String? {
        let credentials = ProcessInfo.processInfo.environment["CREDENTIALS_DIRECTORY"]
        if let credentials, path.hasPrefix(credentials + "/") { return nil }
        guard
            let attributes = try? FileManager.default.attributesOfItem(atPath: path),
            let mode = (attributes[.posixPermissions] as? NSNumber)?.intValue, mode & 0o077 != 0
        else { return nil }
        let shown = String(mode & 0o777, radix: 8)
        return "others can read the token file (mode \(shown)); chmod 600 \(path)"
    }
}
