// The space on disk that is kept for results of sessions that exist.

extension Limits {
    /// Refuses what creates something while the disk has less than the reserve, or would have when
    /// `bytes` are written.
    package func checkDiskReserve(of store: any Store, writing bytes: Int = 0) throws(SessionError)
    {
        guard diskReserveBytes > 0, let available = store.availableBytes(),
            available - bytes < diskReserveBytes
        else { return }
        throw .reserveReached(needed: bytes, available: available, reserve: diskReserveBytes)
    }
}

extension SnapshotDraft {
    /// Bytes of the vectors that it writes.
    var newBytes: Int {
        vectors.reduce(0) { sum, vector in
            switch vector.content {
            case .stored: sum
            case .new(let octets): sum + octets.count
            }
        }
    }
}
