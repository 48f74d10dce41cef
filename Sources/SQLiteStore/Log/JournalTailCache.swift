import GRDB
package import SessionModel
import Synchronization

/// Caches the rowid and the newest sequence number of recently written sessions, so that appending
/// an entry skips two index lookups. A rollback must invalidate what the transaction cached.
///
/// A tail is advanced before its entry is durable, and the memtable has the entry afterwards. In
/// between, the writer may look the tail up, to flush the session's other entries: the cache knows
/// which entries are being appended, so that it does not go back behind them.
package final class JournalTailCache: Sendable {
    package struct Tail: Equatable, Sendable {
        /// The session's rowid.
        package var rowID: Int64
        package var newestSequence: SequenceNumber

        package init(rowID: Int64, newestSequence: SequenceNumber) {
            self.rowID = rowID
            self.newestSequence = newestSequence
        }
    }

    fileprivate struct State {
        var tails: [SessionID: Tail] = [:]
        /// The newest entries that are being appended to the log.
        var appending: [SessionID: SequenceNumber] = [:]
    }

    /// A tail takes about a hundred bytes. Past this count all are dropped and looked up again.
    fileprivate static let countMax = 1 << 16

    private let state = Mutex(State())

    package init() {}

    package subscript(session: SessionID) -> Tail? {
        get { state.withLock { $0.tails[session] } }
        set { state.withLock { $0.set(newValue, of: session) } }
    }

    package func invalidateAll() { state.withLock { $0.tails = [:] } }

    /// The session's tail, looked up unless it is cached. Throws `.missing`.
    func tail(
        of id: SessionID, in tables: ReadTransaction, _ memtable: EntryMemtable
    ) throws -> Tail {
        try tail(of: id, memtable) {
            try memtable.check(id)
            let session = try tables.rowID(id)
            let newest = try tables.database.integer(.newestSequence, [session])
            return Tail(rowID: session, newestSequence: Int(newest ?? 0))
        }
    }

    /// The session's tail, looked up in the tables unless it is cached. Called by the writer only,
    /// so that no entries leave the memtable for the tables meanwhile.
    package func tail(
        of id: SessionID, _ memtable: EntryMemtable, inTables: () throws -> Tail
    ) throws -> Tail {
        if let tail = self[id] { return tail }
        var tail = try inTables()
        return state.withLock { state in
            if let tail = state.tails[id] { return tail }
            // In this order: an entry leaves `appending` after it has come to the memtable.
            if let newest = state.appending[id] ?? memtable.newestSequence(of: id) {
                tail.newestSequence = newest
            }
            state.set(tail, of: id)
            return tail
        }
    }

    /// Advances the tails by entries that are being appended, until `appended` or `failed` is
    /// called. Returns the errors of entries that do not come next, by their index; nil, without
    /// any effect, when a session's tail is not cached.
    package func advance(_ entries: [LoggedEntry]) -> [Int: StoreError]? {
        state.withLock { state in
            guard entries.allSatisfy({ state.tails[$0.session] != nil }) else { return nil }
            var errors: [Int: StoreError] = [:]
            for (index, logged) in entries.enumerated() {
                let expected = (state.tails[logged.session]?.newestSequence ?? 0) + 1
                if logged.entry.sequence == expected {
                    state.tails[logged.session]?.newestSequence = expected
                    state.appending[logged.session] = expected
                } else {
                    errors[index] = .outOfOrder(expected: expected, got: logged.entry.sequence)
                }
            }
            return errors
        }
    }

    /// The memtable has the entries by which the tails were advanced.
    package func appended() { state.withLock { $0.appending.removeAll(keepingCapacity: true) } }

    /// The entries by which the tails were advanced were not appended.
    package func failed() { state.withLock { $0 = State() } }
}

extension JournalTailCache.State {
    fileprivate mutating func set(_ tail: JournalTailCache.Tail?, of session: SessionID) {
        if tails.count >= JournalTailCache.countMax, tails[session] == nil { tails = [:] }
        tails[session] = tail
    }
}
