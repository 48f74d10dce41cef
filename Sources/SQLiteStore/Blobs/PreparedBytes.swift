import DiskLog
import SessionModel

/// Bytes to be stored, with a checksum for each chunk. Made on the caller's thread: computing
/// checksums in the committer would delay every write behind it.
struct PreparedBytes: Sendable {
    let octets: Octets
    let count: Int
    let checksums: [UInt8]
    /// The segment that holds them already, synced.
    let staged: SegmentSlice?

    init(_ octets: Octets) {
        self.octets = octets
        count = octets.count
        if case .stored(let stored) = octets {
            guard let octets = stored as? StagedOctets else {
                preconditionFailure("stored bytes are named by a batch, not written again")
            }
            staged = octets.slice
            checksums = octets.slice.checksums
            return
        }
        staged = nil
        var sums = ChunkChecksums()
        do {
            try unsafe octets.forEachRegion { unsafe sums.add($0) }
        } catch {
            preconditionFailure("memory can be read: \(error)")
        }
        checksums = sums.finished()
    }

    init(_ bytes: [UInt8]) { self.init(Octets(bytes)) }

    /// Bytes that the committer has to write.
    var bytesToWrite: Int { staged == nil ? count : 0 }
}
