import GRDB
import SessionModel
import Synchronization

/// Entries that are durable in the entry log and not yet in the tables. Who writes to the log adds
/// them, the committer removes them; readers lay them over what they find in the tables.
///
/// A reader takes its copy before it looks into the tables: what is moved there in between it then
/// meets twice, and knows by its sequence number.
final class PendingEntries: Sendable {
    private let bySession: Mutex<[SessionID: [JournalEntry]]>

    /// Those of the entries found in the log that the tables don't have. Sessions that are gone
    /// need none.
    init(_ found: [LoggedEntry], missingIn reading: ReadTransaction) throws {
        var pending: [SessionID: [JournalEntry]] = [:]
        for (session, logged) in Dictionary(grouping: found, by: \.session) {
            guard
                let row = try reading.database.integer(.sessionRowID, [session.rawValue])
            else { continue }
            let newest = try reading.database.integer(.newestSequence, [row]) ?? 0
            let missing = try logged.map(\.entry).after(Int(newest))
            if !missing.isEmpty { pending[session] = Array(missing) }
        }
        bySession = Mutex(pending)
    }

    /// In order of sequence.
    func entries(of session: SessionID) -> [JournalEntry] {
        bySession.withLock { $0[session] ?? [] }
    }

    var isEmpty: Bool { bySession.withLock { $0.isEmpty } }

    var all: [SessionID: [JournalEntry]] { bySession.withLock { $0 } }

    func add(_ entries: some Sequence<LoggedEntry>) {
        bySession.withLock { pending in
            for logged in entries { pending[logged.session, default: []].append(logged.entry) }
        }
    }

    func remove(_ session: SessionID, through sequence: SequenceNumber) {
        bySession.withLock { pending in
            guard let entries = pending[session] else { return }
            let rest = entries.drop { $0.sequence <= sequence }
            pending[session] = rest.isEmpty ? nil : Array(rest)
        }
    }

    func newestSequence(of session: SessionID) -> SequenceNumber? {
        bySession.withLock { $0[session]?.last?.sequence }
    }

    func count(of session: SessionID) -> Int {
        bySession.withLock { $0[session]?.count ?? 0 }
    }
}

extension [JournalEntry] {
    /// Those that a table whose newest entry is `newest` hasn't. Throws `.corrupt` if there is one
    /// missing in between.
    func after(_ newest: SequenceNumber) throws(StoreError) -> ArraySlice<JournalEntry> {
        let rest = drop { $0.sequence <= newest }
        if let first = rest.first, first.sequence != newest + 1 {
            throw .corrupt("entries \(newest + 1)..<\(first.sequence) of the journal are missing")
        }
        return rest
    }
}
