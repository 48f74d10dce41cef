/// Why a server could not be started or connected to.
public enum ServerError: Error, Equatable, CustomStringConvertible {
    /// `start()` was called a second time. A server can be started once.
    case alreadyStarted
    /// The host name does not resolve, or the port is out of range.
    case addressUnknown(host: String, port: Int)
    /// The address is in use, belongs to another machine, or may not be bound by this user.
    case addressUnavailable(host: String, port: Int, reason: String)
    /// The Unix socket cannot be made at the path.
    case socketUnavailable(path: String, reason: String)
    /// The descriptor is not a listening socket.
    case listenerUnusable(fileDescriptor: Int32, reason: String)
    /// The server has not started, or is stopping.
    case notServing
    /// The system could not provide a thread, pipe, file descriptor or memory.
    case resourcesExhausted(String)

    public var description: String {
        switch self {
        case .alreadyStarted:
            "the server was started before; create a new one"
        case .addressUnknown(let host, let port):
            "cannot listen on \(host):\(port): no such address; give a numeric one or a local name"
        case .addressUnavailable(let host, let port, let reason):
            "cannot listen on \(host):\(port): \(reason)"
        case .socketUnavailable(let path, let reason):
            "cannot listen on unix:\(path): \(reason)"
        case .listenerUnusable(let fileDescriptor, let reason):
            "cannot use descriptor \(fileDescriptor) as a listening socket: \(reason)"
        case .notServing:
            "the server is not serving"
        case .resourcesExhausted(let resource):
            "the HTTP server cannot start: the system has no free \(resource)"
        }
    }
}
