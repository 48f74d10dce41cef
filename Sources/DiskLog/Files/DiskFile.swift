import CLinux
package import Glibc

/// An open file. This is the only code that makes file system calls, apart from SQLite's own. Each
/// method names the C function that it calls.
package final class DiskFile: Sendable {
    package let path: String
    /// Whether reads and writes bypass the page cache (O_DIRECT).
    package let isDirect: Bool
    private let descriptor: CInt

    /// The alignment that O_DIRECT requires of buffers, offsets and lengths: the largest block size
    /// of Linux file systems with 4 KiB pages.
    package static let blockBytes = 4096

    /// `count` rounded up to whole blocks.
    package static func wholeBlocks(_ count: Int) -> Int {
        (count + blockBytes - 1) / blockBytes * blockBytes
    }

    package enum Mode {
        case reading
        case writing
        /// Creates the file with mode 0600, or truncates it.
        case creating
        /// Creates the file with mode 0600 unless it exists.
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
    package convenience init(_ path: String, for mode: Mode) throws(FileError) {
        try self.init(path, unsafe open(path, mode.flags | O_CLOEXEC, 0o600), isDirect: false)
    }

    /// `open(2)` with O_DIRECT: reads and writes bypass the page cache, in whole blocks from and to
    /// aligned buffers. Where the file system does not support it, opens the file as usual.
    package convenience init(directly path: String, for mode: Mode) throws(FileError) {
        let descriptor = unsafe clinux_open_directly(path, mode.flags | O_CLOEXEC)
        if descriptor < 0, errno == EINVAL {
            try self.init(path, for: mode)
        } else {
            try self.init(path, descriptor, isDirect: true)
        }
    }

    private init(_ path: String, _ descriptor: CInt, isDirect: Bool) throws(FileError) {
        guard descriptor >= 0 else {
            throw FileError(operation: .open, path: path, code: errno)
        }
        self.path = path
        self.descriptor = descriptor
        self.isDirect = isDirect
    }

    deinit { close(descriptor) }

    /// `pwrite(2)`, repeated until all bytes are written.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(FileError) {
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

    /// `pwrite(2)`, repeated until all bytes are written.
    package func write(_ bytes: [UInt8], at offset: Int) throws(FileError) {
        let result = unsafe bytes.withUnsafeBytes { buffer in
            // Sound: the buffer is used within the call.
            Result { () throws(FileError) in try unsafe write(buffer, at: offset) }
        }
        try result.get()
    }

    /// The whole file.
    package func readAll() throws -> [UInt8] {
        let size = try size()
        guard size > 0 else { return [] }
        return try unsafe [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            // Sound: either all of it is filled, or this throws.
            try unsafe read(size, into: UnsafeMutableRawBufferPointer(buffer), at: 0)
            count = size
        }
    }

    /// `pread(2)`, repeated until `buffer` holds `count` bytes; the buffer may be longer. Throws
    /// ENODATA when the file ends before.
    package func read(
        _ count: Int, into buffer: UnsafeMutableRawBufferPointer, at offset: Int
    ) throws(FileError) {
        var filled = 0
        while filled < count {
            // Sound: no more is written than the buffer's rest.
            let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            let got = unsafe pread(descriptor, rest.baseAddress, rest.count, offset + filled)
            if got < 0 && errno == EINTR { continue }
            guard got > 0 else {
                throw FileError(
                    operation: .read, path: path, code: got < 0 ? errno : ENODATA)
            }
            filled += got
        }
    }

    /// `sync_file_range(2)`: starts the write-back of a range. This is a hint; only `sync` makes
    /// the range durable.
    package func beginWriting(_ range: Range<Int>) {
        _ = clinux_begin_writing(descriptor, Int64(range.lowerBound), Int64(range.count))
    }

    /// `sync_file_range(2)`: waits for the write-back of a range. The kernel reports each write
    /// error once, either here or to the next sync, so an error here counts as a failed sync.
    package func awaitWriting(_ range: Range<Int>) throws(FileError) {
        let (offset, length) = (Int64(range.lowerBound), Int64(range.count))
        guard clinux_await_writing(descriptor, offset, length) != 0 else { return }
        // The call is forbidden or not supported: the sync that follows waits for everything.
        if [ENOSYS, EPERM, EINVAL].contains(errno) { return }
        throw failure(.sync)
    }

    /// `fdatasync(2)`. After a failure the kernel may have dropped the dirty pages, and a second
    /// call may succeed without them: after an error the process must end.
    package func sync() throws(FileError) {
        guard fdatasync(descriptor) == 0 else { throw failure(.sync) }
    }

    /// `fstat(2)`
    package func size() throws(FileError) -> Int {
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw failure(.status) }
        return Int(status.st_size)
    }

    /// `posix_fallocate(3)`: gives the file its first `size` bytes on the disk.
    package func allocate(_ size: Int) throws(FileError) {
        let code = posix_fallocate(descriptor, 0, size)
        guard code == 0 else { throw FileError(operation: .allocate, path: path, code: code) }
    }

    /// `fstat(2)` and `stat(2)`: whether the file's name still leads to it.
    package func isNamed() throws(FileError) -> Bool {
        var (own, named) = (Glibc.stat(), Glibc.stat())
        guard unsafe fstat(descriptor, &own) == 0 else { throw failure(.status) }
        guard unsafe stat(path, &named) == 0 else { return false }
        return own.st_ino == named.st_ino && own.st_dev == named.st_dev
    }

    /// `ftruncate(2)`
    package func truncate(to size: Int) throws(FileError) {
        guard ftruncate(descriptor, size) == 0 else { throw failure(.truncate) }
    }

    /// `fallocate(2)` with FALLOC_FL_PUNCH_HOLE: frees the blocks of a range, which then reads as
    /// zeros. Throws EOPNOTSUPP where the file system does not support it.
    package func punchHole(_ range: Range<Int>) throws(FileError) {
        let (offset, length) = (Int64(range.lowerBound), Int64(range.count))
        guard clinux_punch_hole(descriptor, offset, length) == 0 else { throw failure(.punch) }
    }

    /// `flock(2)`, without waiting; false when another process holds the lock. The lock is released
    /// when the file is closed, by the kernel if the process dies.
    package func lock() throws(FileError) -> Bool {
        if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return true }
        if errno == EWOULDBLOCK { return false }
        throw failure(.lock)
    }

    /// `flock(2)` with LOCK_SH, without waiting; false when another process has it exclusively.
    package func lockShared() throws(FileError) -> Bool {
        if flock(descriptor, LOCK_SH | LOCK_NB) == 0 { return true }
        if errno == EWOULDBLOCK { return false }
        throw failure(.lock)
    }

    /// The same, waiting for a lock that is held for moments only.
    package func waitForSharedLock() throws(FileError) {
        while flock(descriptor, LOCK_SH) != 0 {
            guard errno == EINTR else { throw failure(.lock) }
        }
    }

    /// `flock(2)`: releases the lock before the file is closed.
    package func unlock() { _ = flock(descriptor, LOCK_UN) }

    private func failure(_ operation: FileError.Operation) -> FileError {
        FileError(operation: operation, path: path, code: errno)
    }
}

extension DiskFile {
    /// `mkdir(2)` with mode 0700; an existing directory is left as it is.
    package static func makeDirectory(_ path: String) throws(FileError) {
        guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw FileError(operation: .makeDirectory, path: path, code: errno)
        }
    }

    /// `fsync(2)` of a directory: makes the creation and removal of names in it durable.
    package static func syncDirectory(_ path: String) throws(FileError) {
        let directory = try DiskFile(path, for: .reading)
        guard fsync(directory.descriptor) == 0 else { throw directory.failure(.sync) }
    }

    /// `link(2)`: another name for a file that is never changed.
    package static func link(_ path: String, as name: String) throws(FileError) {
        guard unsafe Glibc.link(path, name) == 0 else {
            throw FileError(operation: .open, path: name, code: errno)
        }
    }

    /// `rename(2)`
    package static func rename(_ path: String, to name: String) throws(FileError) {
        guard unsafe Glibc.rename(path, name) == 0 else {
            throw FileError(operation: .open, path: name, code: errno)
        }
    }

    /// `chown(2)`: gives a file to the owner of another one.
    package static func giveToOwner(of other: String, _ path: String) throws(FileError) {
        var status = Glibc.stat()
        guard unsafe stat(other, &status) == 0,
            unsafe chown(path, status.st_uid, status.st_gid) == 0
        else { throw FileError(operation: .status, path: path, code: errno) }
    }

    /// The directory that holds `path`, by its name alone.
    package static func parent(of path: String) -> String {
        var name = path[...]
        while name.count > 1, name.last == "/" { name.removeLast() }
        guard let slash = name.lastIndex(of: "/") else { return "." }
        return slash == name.startIndex ? "/" : String(name[..<slash])
    }

    /// `unlink(2)`
    package static func remove(_ path: String) throws(FileError) {
        guard unsafe unlink(path) == 0 else {
            throw FileError(operation: .remove, path: path, code: errno)
        }
    }

    /// `stat(2)`: the file's owner, or nil if there is no such file.
    package static func owner(of path: String) -> uid_t? {
        var status = Glibc.stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        return status.st_uid
    }

    /// `stat(2)`: bytes that the file occupies on the disk, without its holes; 0 if there is no
    /// such file or it is a directory.
    package static func allocatedBytes(of path: String) -> Int {
        var status = Glibc.stat()
        guard unsafe stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            return 0
        }
        return Int(status.st_blocks) * 512
    }

    /// `statvfs(3)`: bytes that an unprivileged process can still write; nil if the call fails.
    package static func availableBytes(at path: String) -> Int? {
        var status = statvfs()
        guard unsafe statvfs(path, &status) == 0 else { return nil }
        return Int(clamping: UInt64(status.f_bavail) * UInt64(status.f_frsize))
    }

    /// `statvfs(3)`: bytes of the whole file system; nil if the call fails.
    package static func fileSystemBytes(at path: String) -> Int? {
        var status = statvfs()
        guard unsafe statvfs(path, &status) == 0 else { return nil }
        return Int(clamping: UInt64(status.f_blocks) * UInt64(status.f_frsize))
    }
}
