import Glibc

/// A socket that connections come out of. Owned by the keeper, closed by it.
struct ListeningSocket: Sendable {
    let fileDescriptor: Int32
    /// 0 for a Unix socket.
    let port: Int
    /// Whether somebody else goes on listening when we stop.
    private let isInherited: Bool

    init(_ listener: ServerConfiguration.Listener) throws(ServerError) {
        switch listener {
        case .address(let host, let port):
            fileDescriptor = try Self.bind(host: host, port: port)
            isInherited = false
        case .inherited(let original):
            // A copy, so that closing ours leaves the caller's open.
            fileDescriptor = fcntl(original, F_DUPFD_CLOEXEC, 0)
            isInherited = true
            guard fileDescriptor >= 0, Self.isListening(fileDescriptor) else {
                let reason = fileDescriptor < 0 ? Self.reason(errno) : "it does not listen"
                if fileDescriptor >= 0 { close(fileDescriptor) }
                throw .listenerUnusable(fileDescriptor: original, reason: reason)
            }
        }
        // A client that leaves between poll and accept must not make accept wait.
        _ = fcntl(fileDescriptor, F_SETFL, fcntl(fileDescriptor, F_GETFL) | O_NONBLOCK)
        self.port = Self.port(of: fileDescriptor)
    }

    /// Refuses new connections, unless others go on listening on the same socket. The descriptor
    /// stays valid, so a thread about to use it finds no stranger behind the number.
    func refuseConnections() {
        if !isInherited { shutdown(fileDescriptor, Int32(SHUT_RDWR)) }
    }

    /// How `accept` went.
    enum Arrival {
        case connection(Int32, sockaddr_storage, socklen_t)
        case none
        /// No descriptor or memory is left; trying again at once would spin.
        case exhausted
    }

    func accept() -> Arrival {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        // `length` is the size of `address`, and accept writes no more than that.
        let accepted = unsafe withUnsafeMutablePointer(to: &address) { storage in
            unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe Glibc.accept(fileDescriptor, $0, &length)
            }
        }
        if accepted >= 0 {
            _ = fcntl(accepted, F_SETFD, FD_CLOEXEC)
            return .connection(accepted, address, length)
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
        // getaddrinfo succeeded: `first` and its address are valid until they are freed above.
        let descriptor = unsafe socket(
            first.pointee.ai_family, first.pointee.ai_socktype | Int32(SOCK_CLOEXEC.rawValue), 0)
        var one: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        // A restarted server must not wait until the connections of the old one are forgotten.
        let isBound =
            unsafe descriptor >= 0
            && setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, size) == 0
            && Glibc.bind(descriptor, first.pointee.ai_addr, first.pointee.ai_addrlen) == 0
        if isBound, listen(descriptor, SOMAXCONN) == 0 { return descriptor }
        let reason = Self.reason(errno)
        if descriptor >= 0 { close(descriptor) }
        throw .addressUnavailable(host: host, port: port, reason: reason)
    }

    private static func isListening(_ descriptor: Int32) -> Bool {
        var answer: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        // `answer` has the size that is passed with it.
        return unsafe getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &answer, &size) == 0
            && answer != 0
    }

    private static func port(of descriptor: Int32) -> Int {
        var address = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        // As in accept: the length bounds what is written.
        let result = unsafe withUnsafeMutablePointer(to: &address) { storage in
            unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, $0, &length)
            }
        }
        return result == 0 ? PeerAddress.port(address) : 0
    }

    private static func reason(_ code: Int32) -> String {
        // strerror answers every number with a string that ends.
        unsafe String(cString: strerror(code))
    }
}
