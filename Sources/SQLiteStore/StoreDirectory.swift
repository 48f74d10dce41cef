import Foundation
import SessionModel

/// The directory that holds a store:
///
///     lbfgsd.sqlite   the database, with -wal and -shm beside it while it is open
///     journal/        1.log, 2.log: entries that aren't in the database yet
///     segments/       000001.seg, 000001.vec ...: vectors and payloads too long for the database
///     lock            held as long as a process has the store open
///
/// What is created here gets mode 0700 (directories) or 0600 (files; SQLite gives -wal and -shm
/// the database's mode). A directory that is there keeps its mode: whoever made it chose it.
struct StoreDirectory: Sendable {
    let path: String
    private let lock: DiskFile

    var database: String { path + "/lbfgsd.sqlite" }
    var segments: String { path + "/segments" }
    var journal: String { path + "/journal" }

    /// Creates what isn't there, with its missing parents, and takes the lock: two processes that
    /// append to one segment would overwrite each other's vectors.
    init(_ path: String) throws {
        self.path = path
        try StoreDirectory.make(path)
        lock = try DiskFile(path + "/lock", for: .creatingIfAbsent)
        guard try lock.lock() else {
            throw StoreError.failed("the store in \(path) is in use by another process")
        }
        try DiskFile.makeDirectory(segments)
        // SQLite would create the file with the mode that the umask leaves.
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
