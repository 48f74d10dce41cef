internal import Foundation
internal import Telemetry

/// The bearer tokens that the daemon accepts.
struct TokenFile {
    var tokens: [Secret]
    /// A warning about the file, which doesn't stop the daemon.
    var warning: String?

    static let lengthMin = 16
    private static let bytesMax = 1 << 20

    /// Throws when the file holds no token (it would lock out every client, or writing it was
    /// interrupted) or one of fewer than 16 characters. Messages name lines, never tokens.
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
        return TokenFile(tokens: try parse(text, path: path), warning: warning(for: path))
    }

    static func parse(_ text: String, path: String) throws(CommandFailure) -> [Secret] {
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
        guard !tokens.isEmpty else {
            throw CommandFailure(
                .configuration,
                "token-file \(path): holds no token; make one with: openssl rand -hex 32")
        }
        return tokens
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
