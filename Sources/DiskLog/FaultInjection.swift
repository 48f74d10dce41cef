import Synchronization

/// The moments of a write between which a crash or a failure has different consequences. At each of
/// them a test copies the directory, as a crash would leave it, or makes the next operation fail.
package enum WritePoint: CaseIterable, Sendable {
    /// Before a frame is written to the write-ahead log.
    case logWrite
    /// After the frame is written, before it is synced.
    case logSync
    /// Before bytes are written to a segment.
    case segmentWrite
    /// After they are written, before they are synced.
    case segmentSync
    /// Before the commit of the index that names the segments' bytes.
    case commit
    /// After the commit or the frame is durable, before its callers are answered.
    case answer
}

/// Asked at each write point: the `errno` that the operation fails with, or 0 to go on.
package typealias WriteFaults = @Sendable (WritePoint) -> CInt

/// Passes each write point to a test's fault function; a daemon has none.
package final class FaultInjection: Sendable {
    private let faults: WriteFaults?
    private let writing = Mutex(())

    package init(faults: WriteFaults?) { self.faults = faults }

    /// Runs `body`. With a fault function, writes to different files exclude each other, so that a
    /// copy of the directory shows one moment.
    package func exclusively<Value: ~Copyable>(_ body: () -> Value) -> Value {
        faults == nil ? body() : writing.withLock { _ in body() }
    }

    package func pass(_ point: WritePoint, _ path: String) throws(FileError) {
        guard let code = faults?(point), code != 0 else { return }
        let operation: FileError.Operation =
            switch point {
            case .segmentSync, .logSync: .sync
            case .segmentWrite, .logWrite, .commit, .answer: .write
            }
        throw FileError(operation: operation, path: path, code: code)
    }
}
