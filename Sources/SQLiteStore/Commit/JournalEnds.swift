import GRDB
import SessionModel
import Synchronization

/// Where the journals of sessions end that were written to lately, so that an entry needs no look
/// into two indexes before it is written. Whoever undoes what a write did must forget it.
///
/// A session's writes come one after the other, so that its end is one writer's at a time.
final class JournalEnds: Sendable {
    struct End {
        /// The session's.
        var rowID: Int64
        var newest: SequenceNumber
    }

    /// A hundred bytes each. Past that all are forgotten and learnt anew, two look-ups each.
    private static let countMax = 1 << 16

    private let ends = Mutex<[SessionID: End]>([:])

    subscript(session: SessionID) -> End? {
        get { ends.withLock { $0[session] } }
        set {
            ends.withLock { ends in
                if ends.count >= JournalEnds.countMax, ends[session] == nil { ends = [:] }
                ends[session] = newValue
            }
        }
    }

    func forgetAll() { ends.withLock { $0 = [:] } }

    /// Throws `.missing`.
    func end(
        of id: SessionID, in reading: ReadTransaction, _ pending: PendingEntries
    ) throws -> End {
        if let end = self[id] { return end }
        let session = try reading.rowID(id)
        let newest = try reading.database.integer(.newestSequence, [session])
        let end = End(
            rowID: session, newest: pending.newestSequence(of: id) ?? Int(newest ?? 0))
        self[id] = end
        return end
    }

    /// The journals get these entries. Returns what is wrong with those that don't come next, by
    /// their place; or nil, and does nothing, when one's journal is not known.
    func advance(_ entries: some Collection<LoggedEntry>) -> [Int: StoreError]? {
        ends.withLock { ends in
            guard entries.allSatisfy({ ends[$0.session] != nil }) else { return nil }
            var errors: [Int: StoreError] = [:]
            for (place, logged) in entries.enumerated() {
                let expected = (ends[logged.session]?.newest ?? 0) + 1
                if logged.entry.sequence == expected {
                    ends[logged.session]?.newest = expected
                } else {
                    errors[place] = .outOfOrder(expected: expected, got: logged.entry.sequence)
                }
            }
            return errors
        }
    }
}
