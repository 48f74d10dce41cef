import DiskLog
import Foundation
import SessionModel

/// The directory that holds a store:
///
///     lbfgsd.sqlite   the database, with -wal and -shm beside it while it is open
///     journal/        1.log, 2.log: the write-ahead log of entries
///     segments/       000001.seg, 000001.vec ...: vectors and payloads too long for the database
///     lock            locked as long as a process has the store open
///
/// Directories are created with mode 0700, files with 0600 (SQLite gives -wal and -shm the
/// database's mode). The store's own directory keeps its mode if it exists.
struct StoreDirectory: Sendable {
    let path: String
    private let lock: DiskFile

    var database: String { path + "/lbfgsd.sqlite" }
    var segments: String { path + "/segments" }
    var journal: String { path + "/journal" }

    /// Creates what is missing, parents included, and takes the lock: two processes that append to
    /// one segment would overwrite each other's vectors. Throws `.inUse` when another process holds
    /// the lock.
    init(_ path: String) throws {
        self.path = path
        try StoreDirectory.make(path)
        lock = try DiskFile(path + "/lock", for: .creatingIfAbsent)
        guard try lock.lock() else {
            throw StoreError.inUse("the store in \(path) is in use by another process")
        }
        try DiskFile.makeDirectory(segments)
        // SQLite would create the file with a mode that depends on the umask.
        _ = try DiskFile(database, for: .creatingIfAbsent)
        try DiskFile.syncDirectory(path)
    }

    func unlock() { lock.unlock() }

    private static func make(_ path: String) throws {
        if FileManager.default.fileExists(atPath: path) { return }
        let parent = URL(fileURLWithPath: path).deletingLastPathComponent().path
        try make(parent)
        try DiskFile.makeDirectory(path)
        try DiskFile.syncDirectory(parent)
    }
}
