import DiskLog
import Foundation
import GRDB
public import SessionModel

/// What a backup consists of.
public struct BackupReport: Equatable, Sendable {
    public var sessions = 0
    /// Segments that were copied, and those that were taken from the backup before.
    public var segmentsCopied = 0
    public var segmentsShared = 0
    /// Bytes of vectors that were copied.
    public var bytesCopied = 0
}

/// Backups of a store, whether a process has it open or not.
///
/// A backup is a directory with the files of a store and a mark. It has all that was acknowledged
/// before it began. It is made in this order:
///
/// 1. The pin keeps the store from removing or changing segments.
/// 2. The write-ahead log is copied, from its end to its beginning: if a record is whole in the
///    copy, those before it are.
/// 3. The tables are copied as of one later commit. What the log's copy lacks is in them, because
///    entries leave the log for the tables.
/// 4. The segments that these tables name are copied, blob by blob, with their checksums verified.
///    Those that the backup before has are shared with it by hard links.
///
/// Segments are shared, so a backup is never opened as a store: a store would append to them.
public enum StoreBackup {
    /// The file that makes a directory a backup.
    static func mark(in directory: String) -> String { directory + "/backup" }

    private static let markText = Array("lbfgsd backup 1\n".utf8)
    /// In a directory that a restore has not completed.
    private static let restoreMarkText = Array("lbfgsd restore 1\n".utf8)
    /// How often the log's copy is repeated when the log turns to its other file meanwhile.
    private static let logAttemptsMax = 100

    /// Makes a backup of the store `source` as the directory `target`, which must not exist. It has
    /// another name until it is complete and durable.
    /// - Parameter previous: A backup whose unchanged segments are shared.
    public static func make(
        of source: String, as target: String, sharingWith previous: String? = nil
    ) throws(StoreError) -> BackupReport {
        try storeErrors(source) {
            let files = FileManager.default
            guard files.fileExists(atPath: source + "/lbfgsd.sqlite") else {
                throw StoreError.failed("there is no store in \(source)")
            }
            guard !files.fileExists(atPath: mark(in: source)) else {
                throw StoreError.failed("\(source) is a backup itself")
            }
            guard try ReplicationRole.read(in: source).kind != .standby else {
                throw StoreError.failed("\(source) is a standby's: back its primary up")
            }
            guard !files.fileExists(atPath: target) else {
                throw StoreError.failed("\(target) is there already")
            }
            // Held to the end, if no process has the store open: none can open it meanwhile.
            let lock = try DiskFile(source + "/lock", for: .reading)
            let isClosed = try lock.lockShared()
            guard let pin = try? DiskFile(source + "/pin", for: .reading) else {
                throw StoreError.failed(
                    "\(source) has no file `pin`: start a daemon of this version on it first")
            }
            try pin.waitForSharedLock()
            defer {
                pin.unlock()
                lock.unlock()
            }
            let partial = target + ".partial"
            if files.fileExists(atPath: partial) { try files.removeItem(atPath: partial) }
            for directory in [partial, partial + "/journal", partial + "/segments"] {
                try DiskFile.makeDirectory(directory)
            }
            try write(markText, to: mark(in: partial))
            try copyLog(source + "/journal", to: partial + "/journal")
            try copyTables(source, to: partial, isClosed: isClosed)
            let report = try copySegments(
                source + "/segments", to: partial, sharingWith: previous)
            let damage = try damage(in: partial)
            guard damage.isEmpty else { throw StoreError.corrupt(damage.joined(separator: "; ")) }
            for directory in [partial + "/journal", partial + "/segments", partial] {
                try DiskFile.syncDirectory(directory)
            }
            try DiskFile.rename(partial, to: target)
            try DiskFile.syncDirectory(
                URL(filePath: target).deletingLastPathComponent().path)
            return report
        }
    }

    /// Makes a store of a backup in `directory`, which must be missing or empty. If this is
    /// interrupted, no process opens the directory, and the next call begins anew.
    public static func restore(
        _ backup: String, to directory: String
    ) throws(StoreError) -> BackupReport {
        try storeErrors(directory) {
            let files = FileManager.default
            try checkMark(of: backup)
            let damage = try damage(in: backup)
            guard damage.isEmpty else { throw StoreError.corrupt(damage.joined(separator: "; ")) }
            if !files.fileExists(atPath: directory) { try DiskFile.makeDirectory(directory) }
            let present = try files.contentsOfDirectory(atPath: directory)
            // A restore that was interrupted has left its own mark.
            let wasInterrupted = try? DiskFile(mark(in: directory), for: .reading).readAll()
            guard present.isEmpty || wasInterrupted == restoreMarkText else {
                throw StoreError.exists
            }
            try write(restoreMarkText, to: mark(in: directory))
            for name in present where name != "backup" {
                try files.removeItem(atPath: directory + "/" + name)
            }
            for name in ["journal", "segments"] {
                try DiskFile.makeDirectory(directory + "/" + name)
            }
            for name in ["1.log", "2.log"] {
                let bytes = try DiskFile(backup + "/journal/" + name, for: .reading).readAll()
                try write(bytes, to: directory + "/journal/" + name)
            }
            try copyWhole(backup + "/lbfgsd.sqlite", to: directory + "/lbfgsd.sqlite")
            let report = try copySegments(
                backup + "/segments", to: directory, sharingWith: nil)
            try giveToOwner(directory)
            for name in [directory + "/journal", directory + "/segments", directory] {
                try DiskFile.syncDirectory(name)
            }
            try DiskFile.remove(mark(in: directory))
            try DiskFile.syncDirectory(directory)
            return report
        }
    }

    /// What is damaged in a backup, in words; empty if nothing is. Reads all of it: the tables, the
    /// log, and each byte string with its checksums.
    public static func check(_ backup: String) throws(StoreError) -> [String] {
        try storeErrors(backup) {
            try checkMark(of: backup)
            return try damage(in: backup)
        }
    }

    static func checkMark(of backup: String) throws {
        let text = try? DiskFile(mark(in: backup), for: .reading).readAll()
        guard text == markText else {
            throw StoreError.failed("\(backup) is no backup that this program knows")
        }
    }

    // MARK: The log

    /// Copies both files of the log as they are at one moment. Records are only appended, and only
    /// after those before were synced. So reading backwards, the page that was written last is read
    /// first, and what is before it is complete by then.
    private static func copyLog(_ source: String, to target: String) throws {
        for _ in 0..<logAttemptsMax {
            let before = try logHeads(source)
            let copies = try ["1.log", "2.log"].map { name in
                try readBackwards(source + "/" + name)
            }
            // A file that is written over begins with another record.
            guard try logHeads(source) == before else { continue }
            for (name, bytes) in zip(["1.log", "2.log"], copies) {
                try write(bytes, to: target + "/" + name)
            }
            return
        }
        throw StoreError.failed("the write-ahead log changes too fast to be copied")
    }

    private static let logHeadBytes = 64

    private static func logHeads(_ directory: String) throws -> [[UInt8]] {
        try ["1.log", "2.log"].map { name in
            guard let file = try? DiskFile(directory + "/" + name, for: .reading) else { return [] }
            return try bytes(of: file, at: 0, count: min(logHeadBytes, file.size()))
        }
    }

    private static func readBackwards(_ path: String) throws -> [UInt8] {
        guard let file = try? DiskFile(path, for: .reading) else { return [] }
        let size = try file.size()
        let page = DiskFile.blockBytes
        var pages: [[UInt8]] = []
        for start in stride(from: 0, to: size, by: page).reversed() {
            pages.append(try bytes(of: file, at: start, count: min(page, size - start)))
        }
        return Array(pages.reversed().joined())
    }

    // MARK: The tables

    private static func copyTables(
        _ source: String, to target: String, isClosed: Bool
    ) throws {
        let copy = target + "/lbfgsd.sqlite"
        if isClosed {
            // A crash may have left a WAL: the copy is recovered, not the source.
            try copyWhole(source + "/lbfgsd.sqlite", to: copy)
            if FileManager.default.fileExists(atPath: source + "/lbfgsd.sqlite-wal") {
                try copyWhole(source + "/lbfgsd.sqlite-wal", to: copy + "-wal")
            }
            let queue = try DatabaseQueue(path: copy, configuration: Configuration())
            try queue.writeWithoutTransaction { database in
                try database.execute(sql: "PRAGMA journal_mode = DELETE")
            }
            try queue.close()
        } else {
            // A read-only connection makes no files beside the store's, and copies back no WAL.
            try reading(source + "/lbfgsd.sqlite") { database in
                try database.execute(sql: "VACUUM INTO ?", arguments: [copy])
            }
        }
        try DiskFile(copy, for: .writing).sync()
    }

    static func reading<Value>(
        _ path: String, _ body: (Database) throws -> Value
    ) throws -> Value {
        var configuration = Configuration()
        configuration.readonly = true
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA mmap_size = 0")
            try database.execute(sql: "PRAGMA cell_size_check = ON")
            try database.execute(sql: "PRAGMA trusted_schema = OFF")
        }
        let queue = try DatabaseQueue(path: path, configuration: configuration)
        let value = try queue.inDatabase(body)
        try queue.close()
        return value
    }

    // MARK: Files

    static func bytes(of file: DiskFile, at offset: Int, count: Int) throws -> [UInt8] {
        try unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            // Sound: either all of it is filled, or this throws.
            try unsafe file.read(
                count, into: UnsafeMutableRawBufferPointer(buffer), at: offset)
            filled = count
        }
    }

    private static func write(_ bytes: [UInt8], to path: String) throws {
        let file = try DiskFile(path, for: .creating)
        try file.write(bytes, at: 0)
        try file.sync()
    }

    private static func copyWhole(_ source: String, to target: String) throws {
        let (from, to) = (
            try DiskFile(source, for: .reading), try DiskFile(target, for: .creating)
        )
        let size = try from.size()
        for start in stride(from: 0, to: size, by: 1 << 20) {
            let piece = try bytes(of: from, at: start, count: min(1 << 20, size - start))
            try to.write(piece, at: start)
        }
        try to.sync()
    }

    /// A restore by root: the daemon's user is the owner of the directory.
    private static func giveToOwner(_ directory: String) throws {
        guard geteuid() == 0 else { return }
        for name in try FileManager.default.subpathsOfDirectory(atPath: directory) {
            try DiskFile.giveToOwner(of: directory, directory + "/" + name)
        }
    }

    private static func storeErrors<Value>(
        _ directory: String, _ body: () throws -> Value
    ) throws(StoreError) -> Value {
        do {
            return try body()
        } catch {
            throw StoreFailure(error, directory: directory).ofReading
        }
    }
}
