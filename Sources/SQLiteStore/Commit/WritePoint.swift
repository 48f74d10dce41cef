import Synchronization

/// The moments of a write at which a crash or a failure means something else. Tests take a copy of
/// the directory there, as a crash would leave it, or make the next operation fail.
package enum WritePoint: CaseIterable, Sendable {
    /// Before a frame is written to the entry log.
    case logWrite
    /// It is written; before it is synced.
    case logSync
    /// Before bytes are written to a segment.
    case segmentWrite
    /// They are written; before they are synced.
    case segmentSync
    /// Before the commit.
    case commit
    /// The commit, or the frame, is durable; before callers hear of it.
    case answer
}

/// Asked at each point: the `errno` with which the operation shall fail, or 0.
package typealias WriteFaults = @Sendable (WritePoint) -> CInt

/// The faults of a run, none in a daemon.
final class FaultInjection: Sendable {
    private let faults: WriteFaults?
    private let writing = Mutex(())

    init(faults: WriteFaults?) { self.faults = faults }

    /// Where there may be faults, writes to different files wait for each other: what a test copies
    /// is of one moment.
    func alone<Value: ~Copyable>(_ body: () -> Value) -> Value {
        faults == nil ? body() : writing.withLock { _ in body() }
    }

    func pass(_ point: WritePoint, _ path: String) throws(DiskFailure) {
        guard let code = faults?(point), code != 0 else { return }
        let operation: DiskFailure.Operation =
            switch point {
            case .segmentSync, .logSync: .sync
            case .segmentWrite, .logWrite, .commit, .answer: .write
            }
        throw DiskFailure(operation: operation, path: path, code: code)
    }
}
