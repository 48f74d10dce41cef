import Glibc

/// The listening socket. The acceptor owns and closes it.
struct ListeningSocket: Sendable {
    let fileDescriptor: Int32
    /// The bound port, or 0 for a Unix socket.
    let port: Int
    /// Whether another process may go on listening on the same socket after we stop.
    private let isInherited: Bool
    /// The file of a Unix socket that was bound here.
    private let file: UnixSocketFile?

    init(_ listener: ServerConfiguration.Listener) throws(ServerError) {
        switch listener {
        case .address(let host, let port):
            fileDescriptor = try Self.bind(host: host, port: port)
            isInherited = false
            file = nil
        case .unix(let path):
            (fileDescriptor, file) = try UnixSocketFile.bind(path)
            isInherited = false
        case .inherited(let original):
            // A duplicate, so that closing ours leaves the caller's open.
            fileDescriptor = fcntl(original, F_DUPFD_CLOEXEC, 0)
            isInherited = true
            file = nil
            guard fileDescriptor >= 0, Self.isListening(fileDescriptor) else {
                let reason = fileDescriptor < 0 ? Self.errorText(errno) : "it does not listen"
                if fileDescriptor >= 0 { Glibc.close(fileDescriptor) }
                throw .listenerUnusable(fileDescriptor: original, reason: reason)
            }
        }
        // Non-blocking, because a client may disconnect between poll and accept.
        _ = fcntl(fileDescriptor, F_SETFL, fcntl(fileDescriptor, F_GETFL) | O_NONBLOCK)
        self.port = Self.port(of: fileDescriptor)
    }

    /// Refuses new connections, unless the socket is inherited: then others go on listening on it.
    /// The descriptor stays open, so that its number is not reused while another thread has it.
    func refuseConnections() {
        if !isInherited { shutdown(fileDescriptor, Int32(SHUT_RDWR)) }
    }

    /// Closes the descriptor, and removes the file that it was bound to.
    func close() {
        file?.remove()
        Glibc.close(fileDescriptor)
    }

    enum AcceptResult {
        case connection(Int32, SocketAddress)
        case none
        /// The system has no descriptor or memory left. Retrying at once would loop.
        case exhausted
    }

    func accept() -> AcceptResult {
        var address = SocketAddress()
        let accepted = unsafe address.fill { unsafe Glibc.accept(fileDescriptor, $0, $1) }
        if accepted >= 0 {
            _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
            return .connection(accepted, address)
        }
        switch errno {
        case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted
        default: return .none
        }
    }

    private static func bind(host: String, port: Int) throws(ServerError) -> Int32 {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        unsafe hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV
        var list: UnsafeMutablePointer<addrinfo>?
        guard (0...65535).contains(port),
            unsafe getaddrinfo(host, String(port), &hints, &list) == 0, let first = unsafe list
        else { throw .addressUnknown(host: host, port: port) }
        defer { unsafe freeaddrinfo(first) }
        // Sound: getaddrinfo succeeded, so `first` and its address are valid until they are freed.
        let descriptor = unsafe socket(
            first.pointee.ai_family, first.pointee.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
        var one: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        // With SO_REUSEADDR a restarted server can bind while old connections are in TIME_WAIT.
        let isBound =
            unsafe descriptor >= 0
            && setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, size) == 0
            && Glibc.bind(descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen) == 0
        if isBound, listen(descriptor, SOMAXCONN) == 0 { return descriptor }
        let reason = Self.errorText(errno)
        if descriptor >= 0 { Glibc.close(descriptor) }
        throw .addressUnavailable(host: host, port: port, reason: reason)
    }

    private static func isListening(_ descriptor: Int32) -> Bool {
        var isListening: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        // Sound: `size` is the size of the variable that getsockopt fills in.
        return unsafe getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &isListening, &size) == 0
            && isListening != 0
    }

    private static func port(of descriptor: Int32) -> Int {
        var address = SocketAddress()
        let result = unsafe address.fill { unsafe getsockname(descriptor, $0, $1) }
        return result == 0 ? address.port : 0
    }

    static func errorText(_ code: Int32) -> String {
        // Sound: strerror returns a NUL-terminated string for every number.
        unsafe String(cString: strerror(code))
    }
}
