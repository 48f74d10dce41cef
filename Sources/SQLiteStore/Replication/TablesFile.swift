import DiskLog
import Synchronization

/// The database's file, opened once and kept open: when a process closes any descriptor of a file,
/// the kernel drops all its POSIX locks on it, and SQLite has some.
final class TablesFile: Sendable {
    private let opened = Mutex<DiskFile?>(nil)

    func file(_ path: String) throws(FileError) -> DiskFile {
        try opened.withLock { opened throws(FileError) in
            if let opened { return opened }
            let file = try DiskFile(path, for: .reading)
            opened = file
            return file
        }
    }
}
