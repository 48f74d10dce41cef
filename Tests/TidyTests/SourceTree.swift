import Foundation

/// The package's own files, found from where this one is.
enum SourceTree {
    static let root = URL(filePath: #filePath)
        .resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    struct File: CustomStringConvertible {
        /// From the package's root.
        var path: String
        var text: String

        var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }
        /// The folder below `Sources`.
        var module: String { path.split(separator: "/").dropFirst().first.map(String.init) ?? "" }
        var name: String { path.split(separator: "/").last.map(String.init) ?? path }
        var description: String { path }

        /// The modules that are imported, submodules and single declarations by their module.
        var imports: [String] {
            lines.compactMap { line in
                let words = line.split(separator: " ").prefix { !$0.hasPrefix("//") }
                guard let index = words.firstIndex(of: "import"), index <= 2,
                    words[..<index].allSatisfy({ modifiers.contains($0) })
                else { return nil }
                var rest = words[(index + 1)...]
                if let kind = rest.first, kinds.contains(kind) { rest = rest.dropFirst() }
                return rest.first?.split(separator: ".").first.map(String.init)
            }
        }

        /// Whether the code, comments left aside, has this word.
        func says(_ word: String) -> Bool {
            lines.contains { line in
                let trimmed = line.drop { $0 == " " }
                return !trimmed.hasPrefix("//")
                    && trimmed.split { !$0.isLetter && !$0.isNumber && $0 != "_" }
                        .contains { $0 == word }
            }
        }
    }

    private static let modifiers: Set<Substring> = [
        "public", "package", "internal", "private", "fileprivate", "@_exported", "@preconcurrency",
        "@testable", "@unsafe",
    ]
    private static let kinds: Set<Substring> = [
        "struct", "class", "enum", "protocol", "func", "var", "let", "typealias", "actor",
    ]

    /// The Swift files below one of the root's folders, in order of path.
    static func swiftFiles(below folder: String) throws -> [File] {
        let paths = try paths(below: folder).filter { $0.hasSuffix(".swift") }
        // A check of no files would always pass.
        guard !paths.isEmpty else { throw CocoaError(.fileReadNoSuchFile) }
        return try paths.map { File(path: $0, text: try text(of: $0)) }
    }

    static func text(of path: String) throws -> String {
        try String(contentsOf: root.appending(path: path), encoding: .utf8)
    }

    static func bytes(of path: String) throws -> [UInt8] {
        Array(try Data(contentsOf: root.appending(path: path)))
    }

    private static func paths(below folder: String) throws -> [String] {
        let base = root.appending(path: folder)
        guard let paths = FileManager.default.enumerator(atPath: base.path(percentEncoded: false))
        else { throw CocoaError(.fileReadNoSuchFile) }
        return paths.compactMap { $0 as? String }.map { "\(folder)/\($0)" }.sorted()
    }
}
