import Dispatch
import Synchronization

/// Makes the name of a file that was created durable, beside the sync of the file itself: neither
/// needs to wait for the other.
final class NameSync: Sendable {
    private let result = Mutex<Result<Void, DiskFailure>>(.success(()))
    private let isDone = DispatchSemaphore(value: 0)
    /// Serial, so that it has a thread when it needs one: those of concurrent queues are as many as
    /// processors, and may all be waiting for this.
    private static let queue = DispatchQueue(label: "lbfgsd.store.names")

    init(in directory: String) {
        Self.queue.async { [self] in
            let result = Result { () throws(DiskFailure) in
                try DiskFile.syncDirectory(directory)
            }
            self.result.withLock { $0 = result }
            isDone.signal()
        }
    }

    /// Once: returns when the name is durable.
    func wait() throws(DiskFailure) {
        isDone.wait()
        try result.withLock { $0 }.get()
    }
}
