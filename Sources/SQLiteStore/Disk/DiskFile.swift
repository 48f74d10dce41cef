import CLinux
import Glibc

/// A system call that failed, and on what.
struct DiskFailure: Error, CustomStringConvertible {
    enum Operation: String {
        case open, read, write, sync, truncate, lock, status, punch, makeDirectory, remove
    }

    let operation: Operation
    let path: String
    let code: CInt

    /// ENOSPC, or EDQUOT for a quota: writing may work again later.
    var isNoSpace: Bool { code == ENOSPC || code == EDQUOT }
    /// The file isn't there, or ends before what should be in it.
    var isAbsent: Bool { code == ENOENT || code == ENODATA }

    var description: String {
        // Sound: strerror returns a string that lives until the next call on this thread.
        let reason = unsafe String(cString: strerror(code))
        return "\(operation.rawValue) of \(path) failed: \(reason)"
    }
}

/// An open file. The only code that makes file system calls; SQLite makes its own.
final class DiskFile: Sendable {
    let path: String
    let isDirect: Bool
    private let descriptor: CInt

    /// What direct reads and writes are multiples of, and where their memory begins: the largest
    /// block that file systems on Linux have with pages of this size.
    static let blockBytes = 4096

    static func wholeBlocks(_ count: Int) -> Int {
        (count + blockBytes - 1) / blockBytes * blockBytes
    }

    enum Mode {
        case reading
        case writing
        /// Creates the file with mode 0600, or empties it.
        case creating
        /// Creates the file with mode 0600 unless it is there.
        case creatingIfAbsent

        fileprivate var flags: CInt {
            switch self {
            case .reading: O_RDONLY
            case .writing: O_RDWR
            case .creating: O_RDWR | O_CREAT | O_TRUNC
            case .creatingIfAbsent: O_RDWR | O_CREAT
            }
        }
    }

    /// `open(2)`.
    convenience init(_ path: String, for mode: Mode) throws(DiskFailure) {
        try self.init(path, unsafe open(path, mode.flags | O_CLOEXEC, 0o600), isDirect: false)
    }

    /// Past the kernel's memory: by whole blocks, to and from memory that begins at one. In the
    /// ordinary way where the file system has no other.
    convenience init(directly path: String, for mode: Mode) throws(DiskFailure) {
        let descriptor = unsafe clinux_open_directly(path, mode.flags | O_CLOEXEC)
        if descriptor < 0, errno == EINVAL {
            try self.init(path, for: mode)
        } else {
            try self.init(path, descriptor, isDirect: true)
        }
    }

    private init(_ path: String, _ descriptor: CInt, isDirect: Bool) throws(DiskFailure) {
        guard descriptor >= 0 else {
            throw DiskFailure(operation: .open, path: path, code: errno)
        }
        self.path = path
        self.descriptor = descriptor
        self.isDirect = isDirect
    }

    deinit { close(descriptor) }

    /// `pwrite(2)` until all is written.
    func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(DiskFailure) {
        var written = 0
        while written < bytes.count {
            // Sound: the pointer and the count are those of the buffer's rest.
            let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[written...])
            let count = unsafe pwrite(descriptor, rest.baseAddress, rest.count, offset + written)
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw failure(.write) }
            written += count
        }
    }

    /// `pread(2)` until `count` bytes are in the room, which may take more; a file that ends before
    /// throws ENODATA.
    func read(
        _ count: Int, into room: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws(DiskFailure) {
        var filled = 0
        while filled < count {
            // Sound: no more is written than the buffer's rest.
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: room[filled...])
            let got = unsafe pread(descriptor, rest.baseAddress, rest.count, offset + filled)
            if got < 0 && errno == EINTR { continue }
            guard got > 0 else {
                throw DiskFailure(
                    operation: .read, path: path, code: got < 0 ? errno : ENODATA)
            }
            filled += got
        }
    }

    /// `sync_file_range(2)`: lets the disk begin with what was written. A hint; only a sync says
    /// that it is there.
    func beginWriting(_ range: Range<Int>) {
        _ = clinux_begin_writing(descriptor, Int64(range.lowerBound), Int64(range.count))
    }

    /// Waits for what was begun. The kernel tells each failure to write once, here or to the next
    /// sync: one that is met here is a failed sync.
    func awaitWriting(_ range: Range<Int>) throws(DiskFailure) {
        let (offset, length) = (Int64(range.lowerBound), Int64(range.count))
        guard clinux_await_writing(descriptor, offset, length) != 0 else { return }
        // Where it is forbidden, or the file system hasn't got it, the sync waits for everything.
        if [ENOSYS, EPERM, EINVAL].contains(errno) { return }
        throw failure(.sync)
    }

    /// `fdatasync(2)`. After a failure the kernel may have dropped the pages, and a second call
    /// may succeed without them: whoever sees it throw must not go on.
    func sync() throws(DiskFailure) {
        guard fdatasync(descriptor) == 0 else { throw failure(.sync) }
    }

    /// `fstat(2)`
    func size() throws(DiskFailure) -> Int {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw failure(.status) }
        return Int(status.st_size)
    }

    /// `ftruncate(2)`
    func truncate(to size: Int) throws(DiskFailure) {
        guard ftruncate(descriptor, size) == 0 else { throw failure(.truncate) }
    }

    /// Gives the blocks of bytes back that nobody needs; they read as zeros from here on.
    /// `fallocate(2)`; throws EOPNOTSUPP where the file system can't.
    func punchHole(_ range: Range<Int>) throws(DiskFailure) {
        let (offset, length) = (Int64(range.lowerBound), Int64(range.count))
        guard clinux_punch_hole(descriptor, offset, length) == 0 else { throw failure(.punch) }
    }

    /// `flock(2)`, without waiting; false when another process holds the lock. It is given up
    /// when the file is closed, by the kernel at the latest.
    func lock() throws(DiskFailure) -> Bool {
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
        if errno == EWOULDBLOCK { return false }
        throw failure(.lock)
    }

    /// Gives the lock up before the file is closed.
    func unlock() { _ = flock(descriptor, LOCK_UN) }

    private func failure(_ operation: DiskFailure.Operation) -> DiskFailure {
        DiskFailure(operation: operation, path: path, code: errno)
    }
}

extension DiskFile {
    /// `mkdir(2)` with mode 0700; one that is there already is left as it is.
    static func makeDirectory(_ path: String) throws(DiskFailure) {
        guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw DiskFailure(operation: .makeDirectory, path: path, code: errno)
        }
    }

    /// Makes names created in or removed from a directory durable.
    static func syncDirectory(_ path: String) throws(DiskFailure) {
        let directory = try DiskFile(path, for: .reading)
        guard fsync(directory.descriptor) == 0 else { throw directory.failure(.sync) }
    }

    /// `unlink(2)`
    static func remove(_ path: String) throws(DiskFailure) {
        guard unsafe unlink(path) == 0 else {
            throw DiskFailure(operation: .remove, path: path, code: errno)
        }
    }

    /// The user whose file it is, by `stat(2)`; nil if it isn't there.
    static func owner(of path: String) -> uid_t? {
        var status = Glibc.stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        return status.st_uid
    }

    /// Bytes that the file takes on the disk, holes left out, by `stat(2)`; 0 if it isn't there or
    /// is a directory.
    static func allocatedBytes(of path: String) -> Int {
        var status = Glibc.stat()
        guard unsafe stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            return 0
        }
        return Int(status.st_blocks) * 512
    }

    /// Bytes that an unprivileged process can still write, by `statvfs(3)`; nil if it can't say.
    static func availableBytes(at path: String) -> Int? {
        var status = statvfs()
        guard unsafe statvfs(path, &status) == 0 else { return nil }
        return Int(clamping: UInt64(status.f_bavail) * UInt64(status.f_frsize))
    }
}
