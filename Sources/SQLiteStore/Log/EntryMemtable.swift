internal import DiskLog
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
    /// Entries of a session that can't go to the tables, because they do not continue what the
    /// tables have, or because rows of the session are damaged. Nothing of the session is served.
    private struct Detached {
        var reason: StoreError
        var journal: DetachedEntries
        /// How far table `detached` has them; those after it are only in the log.
        var keptThrough: SequenceNumber
    }

    private struct State {
        var entries: [SessionID: [JournalEntry]] = [:]
        var detached: [SessionID: Detached] = [:]
        /// Sessions with rows in table `detached` whose entries can go to the tables after all.
        var reattached: Set<SessionID> = []
    }

    private let state: Mutex<State>

    package init(_ entries: [SessionID: [JournalEntry]] = [:]) {
        state = Mutex(State(entries: entries))
    }

    /// Recovers the memtable: the entries that the tables do not have. Entries of deleted sessions
    /// are dropped. Throws `.corrupt` if a session is missing that was not deleted: then the tables
    /// have lost commits, of no one knows which sessions.
    convenience init(
        recovering journal: RecoveredJournal, missingIn tables: ReadTransaction
    ) throws {
        self.init()
        let kept = try tables.detachedEntries()
        let logged = Dictionary(grouping: journal.entries, by: \.session)
            .mapValues { $0.map(\.entry) }
        var found = State()
        for session in Set(logged.keys).union(kept.keys).union(journal.lost.keys) {
            let own = kept[session] ?? DetachedEntries()
            let entries = (own.entries + (logged[session] ?? [])).inOrder
            do throws(StoreError) {
                let newest = try Self.newest(of: session, in: tables)
                let rest = try entries.following(newest, of: session)
                let reached = max(newest, rest.last?.sequence ?? 0)
                if let lost = journal.lost[session], lost.newest > reached {
                    throw .corrupt(
                        "session \(session): entries \(reached + 1)...\(lost.newest) of the "
                            + "journal were in \(lost.gap.path), which is damaged at byte "
                            + "\(lost.gap.offset)")
                }
                if own.reached > reached {
                    throw .corrupt(
                        "session \(session): entries \(reached + 1)...\(own.reached) of the "
                            + "journal were in a damaged part of journal/")
                }
                if !rest.isEmpty {
                    found.entries[session] = Array(rest)
                    if !own.entries.isEmpty { found.reattached.insert(session) }
                }
            } catch .missing {
                guard try tables.wasDeleted(session) || kept[session] != nil else {
                    throw StoreError.corrupt(
                        "journal/ has entries of session \(session), which the tables have lost: "
                            + "lbfgsd.sqlite or lbfgsd.sqlite-wal is older than the journal")
                }
            } catch {
                guard case .corrupt = error else { throw error }
                let reached = max(
                    own.reached, entries.last?.sequence ?? 0, journal.lost[session]?.newest ?? 0)
                found.detached[session] = Detached(
                    reason: error.naming(session),
                    journal: DetachedEntries(
                        entries: entries, reached: reached),
                    keptThrough: own.reached)
            }
        }
        state.withLock { [found] in $0 = found }
    }

    private static func newest(
        of session: SessionID, in tables: ReadTransaction
    ) throws(StoreError) -> SequenceNumber {
        do {
            let row = try tables.rowID(session)
            return Int(try tables.database.integer(.newestSequence, [row]) ?? 0)
        } catch {
            throw StoreFailure(error, directory: "").ofReading
        }
    }

    /// Throws `.corrupt` if the session's entries can't go to the tables.
    func check(_ session: SessionID) throws(StoreError) {
        if let detached = state.withLock({ $0.detached[session] }) { throw detached.reason }
    }

    // MARK: Detached entries

    /// What table `detached` does not have yet, by session.
    var unkept: [SessionID: DetachedEntries] {
        state.withLock { state in
            state.detached.filter { $0.value.journal.reached > $0.value.keptThrough }.mapValues {
                var journal = $0.journal
                let kept = $0.keptThrough
                journal.entries.removeAll { $0.sequence <= kept }
                return journal
            }
        }
    }

    /// Table `detached` has the entries.
    func kept(_ unkept: [SessionID: DetachedEntries]) {
        state.withLock { state in
            for (session, journal) in unkept {
                state.detached[session]?.keptThrough = journal.reached
            }
        }
    }

    /// From now on the session's entries don't go to the tables, and none is added.
    func detach(_ session: SessionID, because reason: StoreError) {
        state.withLock { state in
            let entries = state.entries.removeValue(forKey: session) ?? []
            guard state.detached[session] == nil else { return }
            state.detached[session] = Detached(
                reason: reason.naming(session),
                journal: DetachedEntries(
                    entries: entries, reached: entries.last?.sequence ?? 0),
                keptThrough: 0)
        }
    }

    /// What the log has of a session, whether it can go to the tables or not.
    func salvageable(_ session: SessionID) -> DetachedEntries {
        state.withLock { state in
            if let detached = state.detached[session] { return detached.journal }
            let entries = state.entries[session] ?? []
            return DetachedEntries(entries: entries, reached: entries.last?.sequence ?? 0)
        }
    }

    /// Whether table `detached` has rows of the session that are to go when it is flushed.
    func isReattached(_ session: SessionID) -> Bool {
        state.withLock { $0.reattached.contains(session) }
    }

    // MARK: Entries

    /// The sessions with entries.
    var sessions: [SessionID] { state.withLock { Array($0.entries.keys) } }

    /// In order of sequence.
    package func entries(of session: SessionID) -> [JournalEntry] {
        state.withLock { $0.entries[session] ?? [] }
    }

    package var isEmpty: Bool { state.withLock { $0.entries.isEmpty } }

    package var all: [SessionID: [JournalEntry]] { state.withLock { $0.entries } }

    package func add(_ logged: [LoggedEntry]) {
        state.withLock { state in
            for logged in logged { state.entries[logged.session, default: []].append(logged.entry) }
        }
    }

    /// - Parameter sequence: `.max` if the session was deleted.
    package func remove(_ session: SessionID, through sequence: SequenceNumber) {
        state.withLock { state in
            if sequence == .max { state.detached[session] = nil }
            guard let entries = state.entries[session] else { return }
            let rest = entries.drop { $0.sequence <= sequence }
            state.entries[session] = rest.isEmpty ? nil : Array(rest)
            state.reattached.remove(session)
        }
    }

    package func newestSequence(of session: SessionID) -> SequenceNumber? {
        state.withLock { $0.entries[session]?.last?.sequence }
    }

    package func count(of session: SessionID) -> Int {
        state.withLock { $0.entries[session]?.count ?? 0 }
    }
}

extension [JournalEntry] {
    /// The entries after `newest`, the newest entry of the tables. Throws `.corrupt` if the first
    /// of them does not come next.
    package func following(
        _ newest: SequenceNumber, of session: SessionID? = nil
    ) throws(StoreError) -> ArraySlice<JournalEntry> {
        let rest = drop { $0.sequence <= newest }
        var expected = newest + 1
        for entry in rest {
            guard entry.sequence == expected else {
                let whose = session.map { "session \($0): " } ?? ""
                throw .corrupt(
                    "\(whose)entries \(expected)..<\(entry.sequence) of the journal are missing in "
                        + "table event and in journal/")
            }
            expected += 1
        }
        return rest
    }

    /// By sequence, each once.
    fileprivate var inOrder: [JournalEntry] {
        var result: [JournalEntry] = []
        for entry in sorted(by: { $0.sequence < $1.sequence })
        where entry.sequence != result.last?.sequence {
            result.append(entry)
        }
        return result
    }
}
