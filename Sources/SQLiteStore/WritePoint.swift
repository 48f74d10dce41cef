/// The moments of a write at which a crash or a failure means something else. Tests take a copy of
/// the directory there, as a crash would leave it, or make the next operation fail.
package enum WritePoint: CaseIterable, Sendable {
    /// Before bytes are written to a segment.
    case segmentWrite
    /// They are written; before they are synced.
    case segmentSync
    /// Before the commit.
    case commit
    /// The commit is durable; before callers hear of it.
    case answer
}

/// Asked at each point: the `errno` with which the operation shall fail, or 0.
package typealias WriteFaults = @Sendable (WritePoint) -> CInt

/// The faults of a run, none in a daemon.
struct FaultInjection: Sendable {
    var faults: WriteFaults?

    func pass(_ point: WritePoint, _ path: String) throws(DiskFailure) {
        guard let code = faults?(point), code != 0 else { return }
        let operation: DiskFailure.Operation =
            switch point {
            case .segmentSync: .sync
            case .segmentWrite, .commit, .answer: .write
            }
        throw DiskFailure(operation: operation, path: path, code: code)
    }
}
