import GRDB
package import SessionModel
import Synchronization

/// Caches the rowid and the newest sequence number of recently written sessions, so that appending
/// an entry skips two index lookups. A rollback must invalidate what the transaction cached.
///
/// A session's writes follow one another, so at any time only one writer uses its tail.
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

    /// A tail takes about a hundred bytes. Past this count all are dropped and looked up again.
    private static let countMax = 1 << 16

    private let tails = Mutex<[SessionID: Tail]>([:])

    package init() {}

    package subscript(session: SessionID) -> Tail? {
        get { tails.withLock { $0[session] } }
        set {
            tails.withLock { tails in
                if tails.count >= JournalTailCache.countMax, tails[session] == nil { tails = [:] }
                tails[session] = newValue
            }
        }
    }

    package func invalidateAll() { tails.withLock { $0 = [:] } }

    /// The session's tail, looked up unless it is cached. Throws `.missing`.
    func tail(
        of id: SessionID, in tables: ReadTransaction, _ memtable: EntryMemtable
    ) throws -> Tail {
        if let tail = self[id] { return tail }
        let session = try tables.rowID(id)
        let newest = try tables.database.integer(.newestSequence, [session])
        let tail = Tail(
            rowID: session, newestSequence: memtable.newestSequence(of: id) ?? Int(newest ?? 0))
        self[id] = tail
        return tail
    }

    /// Advances the tails by entries that are being appended. Returns the errors of entries that do
    /// not come next, by their index; nil, without any effect, when a session's tail is not cached.
    package func advance(_ entries: [LoggedEntry]) -> [Int: StoreError]? {
        tails.withLock { tails in
            guard entries.allSatisfy({ tails[$0.session] != nil }) else { return nil }
            var errors: [Int: StoreError] = [:]
            for (index, logged) in entries.enumerated() {
                let expected = (tails[logged.session]?.newestSequence ?? 0) + 1
                if logged.entry.sequence == expected {
                    tails[logged.session]?.newestSequence = expected
                } else {
                    errors[index] = .outOfOrder(expected: expected, got: logged.entry.sequence)
                }
            }
            return errors
        }
    }
}
