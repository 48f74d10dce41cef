internal import ArgumentParser
internal import Foundation
internal import SQLiteStore
internal import Sessions

struct SalvageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "salvage",
        abstract: "Bring back what can be proved of a damaged data directory.",
        discussion: """
            Reads DIR and changes nothing in it. Makes NEW, a data directory with every session \
            that damage has not touched, as it was to the bit, and of the others the newest state \
            that can be proved: that after the last journal entry whose replay from a whole \
            snapshot leads to what was recorded. A client that repeats its results from there is \
            shown the same points. NEW is verified before it gets its name; until then its name \
            ends in .partial.

            Prints a line for each session: its identifier, whole, cut or lost, and what is lost, \
            with tabs between. Status 0 means that all sessions are whole, 1 that NEW is there and \
            something is lost, 64 a wrong command line, 74 that DIR can't be read or NEW can't be \
            made, and 75 that a daemon has DIR open.
            """)

    @Argument(help: "The damaged data directory, or a backup.")
    var directory: String

    @Option(help: ArgumentHelp("The data directory to make.", valueName: "new"))
    var into: String

    @Flag(help: "Print one JSON object instead of lines.")
    var json = false

    func run() async throws {
        let report: SalvageReport
        do throws(CommandFailure) {
            report = try await salvage()
        } catch {
            throw error.report()
        }
        print(json ? CommandJSON.text(report) : report.lines, terminator: "")
        FileHandle.standardError.write(Data(report.summary.utf8))
        guard report.isWhole else { throw ExitCode(ExitStatus.failure.rawValue) }
    }

    private func salvage() async throws(CommandFailure) -> SalvageReport {
        let files = FileManager.default
        guard !files.fileExists(atPath: into) else {
            throw CommandFailure(.storage, "\(into): is there already")
        }
        let partial = into + ".partial"
        do throws(StoreError) {
            if files.fileExists(atPath: partial) { try remove(partial) }
            let damaged = try InspectedStore(directory, correcting: true)
            let report = try await bring(damaged, to: partial)
            try check(partial)
            try damaged.complete(partial, as: into)
            return report
        } catch {
            throw StoreOpening.failure(error, path: directory)
        }
    }

    private func remove(_ directory: String) throws(StoreError) {
        do {
            try FileManager.default.removeItem(atPath: directory)
        } catch {
            throw .failed("\(directory): \(FileErrorText.text(error))")
        }
    }

    private func bring(
        _ damaged: InspectedStore, to partial: String
    ) async throws(StoreError) -> SalvageReport {
        var report = SalvageReport(losses: try damaged.generalLosses())
        let store = try await SQLiteStore(directory: partial)
        let background = BackgroundWork()
        do throws(StoreError) {
            try await store.succeed(damaged)
            var uncut: Set<SessionID> = []
            var rows: Set<Int64> = []
            for id in try damaged.sessions() {
                do throws(StoreError) {
                    let session = try damaged.salvage(id) { stretch, record in
                        SessionReplay.replay(stretch, of: record, background: background)
                    }
                    try await store.adopt(session, from: damaged)
                    if session.reached == session.newestKnown { uncut.insert(id) }
                    rows.insert(session.rowID)
                    report.add(session)
                } catch .corrupt(let what) {
                    report.add(id, lost: what)
                }
            }
            try await store.adoptIdempotencyRecords(from: damaged, of: uncut)
            report.losses += try await store.adoptEnsembles(from: damaged, of: rows)
        } catch {
            await store.close()
            throw error
        }
        await store.close()
        return report
    }

    private func check(_ made: String) throws(StoreError) {
        let report = try VerificationReport(verifying: made)
        guard report.sound else {
            throw .failed("what was brought back is not sound: \(report.lines)")
        }
    }
}

/// What `salvage` prints.
private struct SalvageReport: Encodable {
    enum Outcome: String, Encodable {
        case whole, cut, lost
    }

    struct Item: Encodable {
        var session: String
        var outcome: Outcome
        /// The journal entry after which the session stands, and the newest that is known.
        var entry: Int?
        var newestEntry: Int?
        var lost: [String]

        enum CodingKeys: String, CodingKey {
            case session, outcome, entry, lost
            case newestEntry = "newest_entry"
        }
    }

    /// What concerns nobody knows which sessions.
    var losses: [String]
    var sessions: [Item] = []

    init(losses: [String]) { self.losses = losses }

    var isWhole: Bool { losses.isEmpty && sessions.allSatisfy { $0.outcome == .whole } }

    mutating func add(_ session: SalvagedSession) {
        sessions.append(
            Item(
                session: session.record.id.rawValue,
                outcome: session.lost.isEmpty ? .whole : .cut, entry: session.reached,
                newestEntry: session.newestKnown, lost: session.lost))
    }

    mutating func add(_ id: SessionID, lost what: String) {
        sessions.append(Item(session: id.rawValue, outcome: .lost, lost: [what]))
    }

    var lines: String {
        sessions.map { item in
            let lost = item.lost.isEmpty ? "-" : item.lost.joined(separator: "; ")
            return "\(item.session)\t\(item.outcome.rawValue)\t\(lost)\n"
        }.joined()
    }

    var summary: String {
        let counts = [Outcome.whole, .cut, .lost].map { outcome in
            "\(sessions.count { $0.outcome == outcome }) \(outcome.rawValue)"
        }
        return losses.map { "lbfgsd: \($0); any session may stand before its newest state\n" }
            .joined() + "lbfgsd: \(sessions.count) sessions: \(counts.joined(separator: ", "))\n"
    }
}
