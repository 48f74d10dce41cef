import Glibc

/// The file to which a listening Unix socket is bound: unix(7).
///
/// It outlives the process that made it if that is killed, and nothing can be bound to it again. So
/// a file that nobody listens on is removed first. One that somebody listens on, and a file of
/// another kind, are left alone.
struct UnixSocketFile: Sendable {
    private let path: String
    private let device: dev_t
    private let inode: ino_t

    /// The owner and the group may connect.
    private static let mode: mode_t = 0o660

    static func bind(_ path: String) throws(ServerError) -> (Int32, UnixSocketFile) {
        guard let address = SocketAddress(unixPath: path) else {
            throw .socketUnavailable(path: path, reason: "the path is too long")
        }
        try removeAbandoned(path, address)
        let descriptor = socket(
            AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        // Before it has a name, so that it is never open to others; the file's mode is this one
        // without the bits of the process's umask, which chmod then gives back.
        let isBound =
            unsafe descriptor >= 0 && fchmod(descriptor, mode) == 0
            && address.withPointer { unsafe Glibc.bind(descriptor, $0, $1) } == 0
        if isBound, unsafe chmod(path, mode) == 0, listen(descriptor, SOMAXCONN) == 0,
            let status = status(of: path)
        {
            let file = UnixSocketFile(
                path: path, device: status.st_dev, inode: status.st_ino)
            return (descriptor, file)
        }
        let reason = ListeningSocket.errorText(errno)
        if descriptor >= 0 { close(descriptor) }
        throw .socketUnavailable(path: path, reason: reason)
    }

    /// Removes the file, unless another process has put its own there.
    func remove() {
        guard let status = UnixSocketFile.status(of: path), status.st_dev == device,
            status.st_ino == inode
        else { return }
        _ = unsafe unlink(path)
    }

    private static func removeAbandoned(
        _ path: String, _ address: SocketAddress
    ) throws(ServerError) {
        guard let status = status(of: path) else { return }
        guard status.st_mode & S_IFMT == S_IFSOCK else {
            throw .socketUnavailable(path: path, reason: "there is a file that is no socket")
        }
        let probe = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { if probe >= 0 { close(probe) } }
        guard probe >= 0, unsafe address.withPointer({ unsafe connect(probe, $0, $1) }) != 0,
            errno == ECONNREFUSED
        else {
            throw .socketUnavailable(path: path, reason: "another process listens on it")
        }
        _ = unsafe unlink(path)
    }

    private static func status(of path: String) -> stat? {
        var status = stat()
        // Sound: lstat(2) fills in one struct stat.
        return unsafe lstat(path, &status) == 0 ? status : nil
    }
}
