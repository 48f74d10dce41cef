import GRDB
package import SessionModel
import Synchronization

/// The memtable of the write-ahead log: the entries that are durable in the log and not yet in the
/// tables. Appending to the log adds entries, a checkpoint of the log removes them, and readers
/// merge them with what they find in the tables.
///
/// A reader copies the entries before it reads the tables. An entry that is flushed in between is
/// then seen twice, and recognized by its sequence number.
package final class EntryMemtable: Sendable {
    private let bySession: Mutex<[SessionID: [JournalEntry]]>

    package init(_ entries: [SessionID: [JournalEntry]] = [:]) { bySession = Mutex(entries) }

    /// Recovers the memtable from the log's records: the entries that the tables do not have.
    /// Entries of deleted sessions are dropped.
    convenience init(recovering logged: [LoggedEntry], missingIn tables: ReadTransaction) throws {
        var missing: [SessionID: [JournalEntry]] = [:]
        for (session, logged) in Dictionary(grouping: logged, by: \.session) {
            guard let row = try tables.database.integer(.sessionRowID, [session.rawValue])
            else { continue }
            let newest = try tables.database.integer(.newestSequence, [row]) ?? 0
            let entries = try logged.map(\.entry).following(Int(newest))
            if !entries.isEmpty { missing[session] = Array(entries) }
        }
        self.init(missing)
    }

    /// In order of sequence.
    package func entries(of session: SessionID) -> [JournalEntry] {
        bySession.withLock { $0[session] ?? [] }
    }

    package var isEmpty: Bool { bySession.withLock { $0.isEmpty } }

    package var all: [SessionID: [JournalEntry]] { bySession.withLock { $0 } }

    package func add(_ logged: [LoggedEntry]) {
        bySession.withLock { entries in
            for logged in logged { entries[logged.session, default: []].append(logged.entry) }
        }
    }

    package func remove(_ session: SessionID, through sequence: SequenceNumber) {
        bySession.withLock { bySession in
            guard let entries = bySession[session] else { return }
            let rest = entries.drop { $0.sequence <= sequence }
            bySession[session] = rest.isEmpty ? nil : Array(rest)
        }
    }

    package func newestSequence(of session: SessionID) -> SequenceNumber? {
        bySession.withLock { $0[session]?.last?.sequence }
    }

    package func count(of session: SessionID) -> Int {
        bySession.withLock { $0[session]?.count ?? 0 }
    }
}

extension [JournalEntry] {
    /// The entries after `newest`, the newest entry of the tables. Throws `.corrupt` if the first
    /// of them does not come next.
    package func following(_ newest: SequenceNumber) throws(StoreError) -> ArraySlice<JournalEntry>
    {
        let rest = drop { $0.sequence <= newest }
        if let first = rest.first, first.sequence != newest + 1 {
            throw .corrupt("entries \(newest + 1)..<\(first.sequence) of the journal are missing")
        }
        return rest
    }
}
