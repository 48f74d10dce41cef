import Foundation
import Testing

@Suite("Files")
struct FileTests {
    private func files() throws -> [SourceTree.File] {
        try SourceTree.swiftFiles(below: "Sources") + SourceTree.swiftFiles(below: "Tests")
    }

    @Test("A file can be read in one sitting")
    func length() throws {
        for file in try files() where file.lines.count > 451 {
            Issue.record("\(file) has \(file.lines.count - 1) lines")
        }
    }

    @Test("A line can be read without scrolling")
    func width() throws {
        for file in try files() {
            for (index, line) in file.lines.enumerated() where line.count > 100 {
                // Text that a test compares with can't always be broken.
                if file.path.hasPrefix("Tests/") { continue }
                Issue.record("\(file):\(index + 1) has \(line.count) characters")
            }
        }
    }

    @Test("A file ends with one line feed, and has no tabs or trailing spaces")
    func whitespace() throws {
        for file in try files() where !file.text.isEmpty {
            if !file.text.hasSuffix("\n") || file.text.hasSuffix("\n\n") {
                Issue.record("\(file) does not end with one line feed")
            }
            for (index, line) in file.lines.enumerated()
            where line.hasSuffix(" ") || line.contains("\t") || line.hasSuffix("\r") {
                Issue.record("\(file):\(index + 1) has white space that doesn't show")
            }
        }
    }

    @Test("What is left to do is not left in the code")
    func leftovers() throws {
        let marks = ["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK"]
        for file in try files() {
            for mark in marks where file.text.contains(mark) { Issue.record("\(file) has \(mark)") }
        }
    }

    @Test("No force, but for constants whose text is in the line")
    func force() throws {
        for file in try SourceTree.swiftFiles(below: "Sources") {
            for (index, line) in file.lines.enumerated()
            where line.contains("try!") || line.contains("as!") {
                Issue.record("\(file):\(index + 1) uses force")
            }
        }
    }
}
