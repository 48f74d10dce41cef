import DiskLog
import Foundation
import SessionModel

/// The directory that holds a store:
///
///     lbfgsd.sqlite   the database, with -wal and -shm beside it while it is open
///     journal/        1.log, 2.log: the write-ahead log of entries
///     segments/       000001.seg, 000001.vec ...: vectors and payloads too long for the database
///     ballast         space that is given up to remove things from a full disk
///     lost/           what recovery found in segments/ and no row names: see `LostSegments`
///     lock            locked as long as a process has the store open
///     pin             locked by a backup as long as it copies segments
///     replication     what the store is to a standby: see `ReplicationRole`
///
/// Directories are created with mode 0700, files with 0600 (SQLite gives -wal and -shm the
/// database's mode). The store's own directory keeps its mode if it exists.
struct StoreDirectory: Sendable {
    let path: String
    /// Whether it may be written to.
    let role: ReplicationRole
    private let lock: DiskFile

    var database: String { path + "/lbfgsd.sqlite" }
    var segments: String { path + "/segments" }
    var ballast: String { path + "/ballast" }
    var lost: String { path + "/lost" }
    var journal: String { path + "/journal" }

    /// Creates what is missing, parents included, and takes the lock: two processes that append to
    /// one segment would overwrite each other's vectors. Throws `.inUse` when another process holds
    /// the lock.
    init(_ path: String) throws {
        self.path = path
        guard !FileManager.default.fileExists(atPath: StoreBackup.mark(in: path)) else {
            throw StoreError.incompatible(
                "\(path) is a backup, whose files other backups share: `lbfgsd restore` makes a "
                    + "store of it")
        }
        try StoreDirectory.make(path)
        lock = try DiskFile(path + "/lock", for: .creatingIfAbsent)
        guard try lock.lock() else {
            throw StoreError.inUse("the store in \(path) is in use by another process")
        }
        role = try ReplicationRole.read(in: path)
        guard role.kind != .standby else {
            throw StoreError.incompatible(
                "\(path) is the standby of \(role.peer ?? "another store"): `lbfgsd promote` makes "
                    + "it a store of its own")
        }
        try DiskFile.makeDirectory(segments)
        _ = try DiskFile(path + "/pin", for: .creatingIfAbsent)
        // SQLite would create the file with a mode that depends on the umask.
        _ = try DiskFile(database, for: .creatingIfAbsent)
        try DiskFile.syncDirectory(path)
    }

    func unlock() { lock.unlock() }

    /// Creates the directory and its parents if they are missing, durably.
    static func make(_ path: String) throws {
        let parent = DiskFile.parent(of: path)
        if FileManager.default.fileExists(atPath: path) {
            // Another process may have made it, and have been killed before it synced the name.
            // A parent that can't be opened was not ours to make it in; some file systems can't
            // sync directories.
            do throws(FileError) {
                try DiskFile.syncDirectory(parent)
            } catch {
                guard error.operation == .open || error.code == EINVAL else { throw error }
            }
            return
        }
        try make(parent)
        try DiskFile.makeDirectory(path)
        try DiskFile.syncDirectory(parent)
    }
}
