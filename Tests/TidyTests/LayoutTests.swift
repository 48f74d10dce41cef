import Testing

/// The tree shows the architecture: small folders, tests beside what they test, and the field's own
/// words.
@Suite("Layout and vocabulary")
struct LayoutTests {
    private static let filesMax = 16

    @Test("A folder has at most some fifteen sources", arguments: ["Sources", "Tests"])
    func folders(root: String) throws {
        var counts: [String: Int] = [:]
        for file in try SourceTree.swiftFiles(below: root) {
            let folder = file.path.split(separator: "/").dropLast().joined(separator: "/")
            counts[folder, default: 0] += 1
        }
        for (folder, count) in counts.sorted(by: { $0.key < $1.key }) where count > Self.filesMax {
            Issue.record("\(folder) has \(count) sources; make folders of its parts")
        }
    }

    @Test("Each folder of a large module is named in ARCHITECTURE.md's code map")
    func codeMap() throws {
        let map = try SourceTree.text(of: "ARCHITECTURE.md")
        for module in Set(try SourceTree.swiftFiles(below: "Sources").map(\.module))
        where !map.contains("`\(module)`") {
            Issue.record("ARCHITECTURE.md does not name \(module)")
        }
        for file in try SourceTree.swiftFiles(below: "Sources")
        where ["SessionModel", "Sessions", "DiskLog", "SQLiteStore"].contains(file.module) {
            let parts = file.path.split(separator: "/")
            guard parts.count > 3 else { continue }
            if !map.contains("\(parts[2])/") {
                Issue.record("ARCHITECTURE.md does not name \(parts[1])/\(parts[2])/")
            }
        }
    }

    /// Metaphors that the project once used, with the term that took each one's place.
    private static let retired = [
        ("Keeper", "ConnectionAcceptor"), ("Overseer", "DeadlineMonitor"), ("Bell", "a wakeup"),
        ("Attendant", "EventLoopHooks or the group commit leader"), ("Chapter", "TraceBatch"),
        ("BlockRoom", "AlignedBuffer"), ("AnswerRoom", "ResponseBudget"),
        ("GradualDigest", "IncrementalDigest"), ("PayloadAhead", "PayloadPrefetch"),
        ("SessionStanding", "SessionStatus"), ("Misfit", "TensorMismatch"),
        ("Filling", "PlacementProgress"), ("LogMoves", "the log's checkpoint"),
        ("LogGeneration", "the log's epoch"), ("EntryLog", "WriteAheadLog"),
        ("HeavyWork", "background executors"), ("VectorHead", "VectorHeader"),
        ("TensorHead", "TensorHeader"), ("Opened", "OpenedStore"), ("Told", "a noun"),
    ]

    @Test("Retired names stay retired")
    func names() throws {
        for file in try SourceTree.swiftFiles(below: "Sources") {
            for (name, replacement) in Self.retired where file.says(name) {
                Issue.record("\(file) says \(name); the term is \(replacement)")
            }
        }
    }

    @Test("Documents and comments use the field's terms")
    func prose() throws {
        let phrases = [
            "leaves memory", "leave memory", "whoever", "by and by", "let go of",
            "attendant", "the keeper", "the bell", "overseer", "visitors",
        ]
        var texts = try ["ARCHITECTURE.md", "README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map {
            SourceTree.File(path: $0, text: try SourceTree.text(of: $0))
        }
        texts += try SourceTree.swiftFiles(below: "Sources")
        for file in texts {
            let text = file.text.lowercased()
            for phrase in phrases where text.contains(phrase) {
                Issue.record("\(file) says “\(phrase)”")
            }
        }
    }
}
