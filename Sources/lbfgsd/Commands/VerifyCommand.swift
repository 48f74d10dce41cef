internal import ArgumentParser
internal import Foundation
internal import SQLiteStore
internal import Sessions

struct VerifyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Check everything in a data directory or a backup; the daemon must not run.",
        discussion: """
            Reads all of DIR and changes nothing in it: SQLite's structures, the checksum of each \
            row and of each vector, everything that a row names, the write-ahead log, and then \
            replays each session from each of its snapshots, comparing every trial point with the \
            digest that was recorded. The tables are copied to $TMPDIR, which needs room for \
            lbfgsd.sqlite; memory is that of the largest session.

            Prints a line for each finding: session, file, offset and what it is, with tabs \
            between and - for what is not known. Status 0: all is sound, 1: there is damage, \
            64: a wrong command line, 74: DIR can't be read or holds no store, 75: a daemon has it \
            open.
            """)

    @Argument(help: "A data directory, or a backup.")
    var directory: String

    @Flag(help: "Print one JSON object instead of lines.")
    var json = false

    func run() throws {
        let report: VerificationReport
        do throws(CommandFailure) {
            report = try verify()
        } catch {
            throw error.report()
        }
        print(json ? report.json : report.lines, terminator: "")
        FileHandle.standardError.write(Data(report.summary.utf8))
        guard report.sound else { throw ExitCode(ExitStatus.failure.rawValue) }
    }

    private func verify() throws(CommandFailure) -> VerificationReport {
        do throws(StoreError) {
            return try VerificationReport(verifying: directory)
        } catch .corrupt(let what) {
            // So damaged that nothing can be read.
            return VerificationReport(
                findings: [VerificationReport.Item(file: "lbfgsd.sqlite", what: what)])
        } catch {
            throw StoreOpening.failure(error, path: directory)
        }
    }
}

/// What `verify` prints.
struct VerificationReport: Encodable {
    struct Item: Encodable {
        var session: String?
        var file: String
        var offset: Int?
        var what: String
    }

    var sound: Bool { findings.isEmpty }
    var findings: [Item] = []
    /// What a crash explains; no damage.
    var notes: [Item] = []
    var sessions = 0
    var bytesRead = 0
    var entriesReplayed = 0

    init(findings: [Item]) { self.findings = findings }

    init(_ result: StoreVerification) {
        findings = result.findings.map(Item.init)
        notes = result.notes.map(Item.init)
        sessions = result.sessions
        bytesRead = result.bytes
    }

    /// Checks a directory: what the store says of itself, and the replay of each session.
    init(verifying directory: String) throws(StoreError) {
        let store = try InspectedStore(directory)
        self.init(try StoreVerifier.verify(store))
        let background = BackgroundWork()
        for session in try store.sessions() {
            do throws(StoreError) {
                let (record, stretches) = try store.stretches(of: session)
                for stretch in stretches {
                    entriesReplayed += stretch.tail.count
                    let replayed = SessionReplay.replay(
                        stretch, of: record, background: background)
                    for difference in replayed.differences { add(difference, session) }
                }
            } catch .corrupt(let what) {
                add("can't be replayed: \(what)", session)
            }
        }
    }

    private mutating func add(_ what: String, _ session: SessionID) {
        findings.append(Item(session: session.rawValue, file: "lbfgsd.sqlite", what: what))
    }

    private enum CodingKeys: String, CodingKey {
        case sound, findings, notes, sessions
        case bytesRead = "bytes_read"
        case entriesReplayed = "entries_replayed"
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(sound, forKey: .sound)
        try container.encode(findings, forKey: .findings)
        try container.encode(notes, forKey: .notes)
        try container.encode(sessions, forKey: .sessions)
        try container.encode(bytesRead, forKey: .bytesRead)
        try container.encode(entriesReplayed, forKey: .entriesReplayed)
    }

    var json: String { CommandJSON.text(self) }

    var lines: String { findings.map { $0.line + "\n" }.joined() }

    /// For the standard error: what was looked at, and what is no damage.
    var summary: String {
        notes.map { "lbfgsd: note: \($0.line)\n" }.joined()
            + "lbfgsd: \(sessions) sessions, \(bytesRead) bytes of vectors and payloads, "
            + "\(entriesReplayed) entries replayed: "
            + (sound ? "sound\n" : "\(findings.count) findings\n")
    }
}

extension VerificationReport.Item {
    init(_ finding: StoreFinding) {
        self.init(
            session: finding.session?.rawValue, file: finding.file, offset: finding.offset,
            what: finding.what)
    }

    var line: String {
        [session ?? "-", file, offset.map { "\($0)" } ?? "-", what].joined(separator: "\t")
    }
}

/// JSON for programs, with a line feed at its end.
enum CommandJSON {
    static func text(_ value: some Encodable) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
        } catch {
            preconditionFailure("plain values can be encoded: \(error)")
        }
    }
}
