import DiskLog
import Synchronization

/// A file whose space is given up when the disk is full, so that things can be removed from it.
///
/// SQLite writes to its WAL before it deletes, and the file system may need a block to remove a
/// name. Without a reserve a full disk could not be emptied. The file's contents mean nothing.
final class Ballast: Sendable {
    private let directory: StoreDirectory
    private let bytes: Int
    /// One thread at a time.
    private let lock = Mutex(())

    /// - Parameter bytes: Its size, at most a sixteenth of the file system; 0 for none.
    init(in directory: StoreDirectory, bytes: Int) {
        self.directory = directory
        self.bytes = bytes
    }

    /// Allocates the space if it is not there and the disk has several times as much. A failure
    /// leaves the store without a reserve until the next call.
    func fill() {
        guard bytes > 0, let whole = DiskFile.fileSystemBytes(at: directory.path) else { return }
        let bytes = min(bytes, whole / 16)
        lock.withLock { _ in
            guard DiskFile.allocatedBytes(of: directory.ballast) < bytes,
                let available = DiskFile.availableBytes(at: directory.path),
                available >= 4 * bytes
            else { return }
            try? DiskFile(directory.ballast, for: .creatingIfAbsent).allocate(bytes)
        }
    }

    /// Gives the space back. Returns false if there is none.
    func release() -> Bool {
        lock.withLock { _ in
            guard DiskFile.allocatedBytes(of: directory.ballast) > 0,
                let file = try? DiskFile(directory.ballast, for: .creatingIfAbsent)
            else { return false }
            return (try? file.truncate(to: 0)) != nil
        }
    }
}
