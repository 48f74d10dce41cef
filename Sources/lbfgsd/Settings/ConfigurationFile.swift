internal import Foundation
internal import Yams

/// A YAML mapping of settings' names to values, with the lines on which they stand.
struct ConfigurationFile {
    struct Entry: Equatable {
        var key: String
        var line: Int
        var value: Value
    }

    /// A value as it is written, before a setting parses it.
    enum Value: Equatable {
        /// Bare text: a number, a word, a path.
        case plain(String)
        case quoted(String)
        case missing
        case collection
    }

    var path: String
    var entries: [Entry]

    private static let bytesMax = 1 << 20

    static func read(_ path: String) throws(CommandFailure) -> ConfigurationFile {
        let text: String
        do {
            let data = try Data(contentsOf: URL(filePath: path))
            guard data.count <= bytesMax else {
                throw CommandFailure(.configuration, "\(path): larger than \(bytesMax) bytes")
            }
            guard let decoded = String(validating: data, as: UTF8.self) else {
                throw CommandFailure(.configuration, "\(path): is not UTF-8 text")
            }
            text = decoded
        } catch let failure as CommandFailure {
            throw failure
        } catch {
            throw CommandFailure(
                .configuration, "\(path): can't be read: \(FileErrorText.text(error))")
        }
        return try parse(text, path: path)
    }

    static func parse(_ text: String, path: String) throws(CommandFailure) -> ConfigurationFile {
        let root: Node?
        do {
            root = try Yams.compose(yaml: text)
        } catch {
            throw CommandFailure(.configuration, "\(path)\(location(error))")
        }
        // A file of comments alone has no root, or an empty scalar for one.
        guard let root, root.scalar?.string.isEmpty != true else {
            return ConfigurationFile(path: path, entries: [])
        }
        guard let mapping = root.mapping else {
            throw CommandFailure(
                .configuration, "\(path): must be a mapping: lines of the form `max-sessions: 100`")
        }
        let entries = mapping.map { key, value in
            Entry(
                key: key.scalar?.string ?? "a key that isn't text", line: key.mark?.line ?? 0,
                value: Value(value))
        }
        return ConfigurationFile(path: path, entries: entries)
    }

    /// `:line: problem`, from the YAML library's error.
    static func location(_ error: any Error) -> String {
        switch error as? YamlError {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            ":\(mark.line): is not YAML: \(problem)"
        case .duplicatedKeysInMapping(let keys, let context):
            ":\(context.mark.line): says twice: \(keys.joined(separator: ", "))"
        default:
            ": is not YAML"
        }
    }
}

extension ConfigurationFile.Value {
    fileprivate init(_ node: Node) {
        guard let scalar = node.scalar else {
            self = .collection
            return
        }
        switch scalar.style {
        case .singleQuoted, .doubleQuoted, .literal, .folded: self = .quoted(scalar.string)
        case .plain, .any:
            let none = ["", "~", "null", "Null", "NULL"].contains(scalar.string)
            self = none ? .missing : .plain(scalar.string)
        }
    }
}

/// Describes Foundation's file errors in a few words, without their error domain.
enum FileErrorText {
    static func text(_ error: any Error) -> String {
        switch (error as? CocoaError)?.code {
        case .fileNoSuchFile?, .fileReadNoSuchFile?: "there is no such file"
        case .fileReadNoPermission?: "permission denied"
        default:
            ((error as NSError).userInfo[NSUnderlyingErrorKey] as? any Error)
                .map { $0.localizedDescription } ?? error.localizedDescription
        }
    }
}
