import GRDB
import Sessions

/// Where the journals of sessions end that were written to lately, so that an entry needs no look
/// into two indexes before it is written. It is as the one writer left the database; whoever undoes
/// what a transaction did must forget it.
struct JournalEnds {
    struct End {
        /// The session's.
        var rowID: Int64
        var newest: SequenceNumber
    }

    /// A hundred bytes each. Past that all are forgotten and learnt anew, two look-ups each.
    private static let countMax = 1 << 16

    private var ends: [SessionID: End] = [:]

    subscript(session: SessionID) -> End? {
        get { ends[session] }
        set {
            if ends.count >= JournalEnds.countMax, ends[session] == nil { forgetAll() }
            ends[session] = newValue
        }
    }

    mutating func forgetAll() { ends = [:] }
}

extension JournalEnds {
    /// Throws `.missing`.
    mutating func end(
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
}
