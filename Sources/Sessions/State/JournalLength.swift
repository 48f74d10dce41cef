/// The length of the journal that a load would replay.
package struct JournalLength: Equatable, Sendable {
    package var entries = 0
    package var payloadBytes = 0

    package init() {}

    package init(_ entries: [JournalEntry]) {
        self.entries = entries.count
        payloadBytes = entries.reduce(0) { $0 + $1.payload.count }
    }

    package static func + (one: JournalLength, other: JournalLength) -> JournalLength {
        var sum = one
        sum.entries += other.entries
        sum.payloadBytes += other.payloadBytes
        return sum
    }

    /// The number of entries between a session's snapshots: three quarters of the maximum or more,
    /// so that sessions that are told in turn do not take their snapshots together.
    package static func interval(of id: SessionID, entriesMax: Int) -> Int {
        entriesMax - Int(UInt(bitPattern: id.hashValue) % UInt(max(1, entriesMax / 4)))
    }

    /// Whether a snapshot of so many bytes should be taken.
    ///
    /// With long vectors it is taken as soon as it costs no more than the journal that it replaces.
    /// Then at most twice the payload is written, whatever the history's size, and the next load
    /// reads at most twice the snapshot. With short vectors both are a few pages, and the entries
    /// are counted.
    package func isDue(_ snapshotBytes: @autoclosure () -> Int, entriesMax: Int) -> Bool {
        entries >= entriesMax
            || (payloadBytes >= Octets.longMin && payloadBytes >= snapshotBytes())
    }
}

extension SessionState {
    /// Bytes that a snapshot would write: x, g, d, the former g, the best point and its g, and the
    /// pairs that no snapshot has named yet.
    var snapshotBytes: Int {
        let new = engine.pairNumbers.count { storedPairs[$0] == nil }
        return layout.count * dtype.size * (6 + 2 * new)
    }
}
