/// What a store holds, for tests of collection.
package struct StoreInventory: Equatable, Sendable {
    package var sessions: Int
    package var entries: Int
    /// Entries whose payload is still there.
    package var payloads: Int
    package var snapshots: Int
    package var vectors: Int
    /// 0 in a store without files.
    package var segmentBytesLive: Int
    package var segmentFiles: Int

    package init(
        sessions: Int, entries: Int, payloads: Int, snapshots: Int, vectors: Int,
        segmentBytesLive: Int = 0, segmentFiles: Int = 0
    ) {
        self.sessions = sessions
        self.entries = entries
        self.payloads = payloads
        self.snapshots = snapshots
        self.vectors = vectors
        self.segmentBytesLive = segmentBytesLive
        self.segmentFiles = segmentFiles
    }
}
