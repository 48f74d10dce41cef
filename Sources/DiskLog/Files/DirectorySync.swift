import Dispatch
import Synchronization

/// Syncs a directory on a thread of its own, so that the name of a new file becomes durable while
/// the file itself is being synced.
package final class DirectorySyncer: Sendable {
    /// Serial, so that it has its own thread: a concurrent queue has no more threads than the
    /// machine has processors, and all of them may be waiting for this sync.
    private let queue = DispatchQueue(label: "lbfgsd.store.names")

    package init() {}

    package func begin(_ directory: String) -> DirectorySync {
        let sync = DirectorySync()
        queue.async {
            sync.end(
                Result { () throws(FileError) in try DiskFile.syncDirectory(directory) })
        }
        return sync
    }
}

/// A directory's sync that is in progress.
package final class DirectorySync: Sendable {
    private let result = Mutex<Result<Void, FileError>>(.success(()))
    private let hasEnded = DispatchSemaphore(value: 0)

    fileprivate init() {}

    fileprivate func end(_ result: Result<Void, FileError>) {
        self.result.withLock { $0 = result }
        hasEnded.signal()
    }

    /// Returns when the directory's names are durable. May be called once.
    package func wait() throws(FileError) {
        hasEnded.wait()
        try result.withLock { $0 }.get()
    }
}
