/// Why a server did not start, or could not be connected to.
public enum ServerError: Error, Equatable, CustomStringConvertible {
    /// `start()` was called a second time. A server is started once.
    case startedBefore
    /// The host has no address, or the port is not one.
    case addressUnknown(host: String, port: Int)
    /// The address is taken, or is not this machine's, or may not be bound to.
    case addressUnavailable(host: String, port: Int, reason: String)
    /// The descriptor is not a listening socket.
    case listenerUnusable(fileDescriptor: Int32, reason: String)
    /// The server has not started, or is stopping.
    case notServing
    /// The system refused a thread, a pipe or memory.
    case resourcesExhausted(String)

    public var description: String {
        switch self {
        case .startedBefore:
            "the server was started before; make a new one"
        case .addressUnknown(let host, let port):
            "cannot listen on \(host):\(port): no such address; give a numeric one or a local name"
        case .addressUnavailable(let host, let port, let reason):
            "cannot listen on \(host):\(port): \(reason)"
        case .listenerUnusable(let fileDescriptor, let reason):
            "cannot use descriptor \(fileDescriptor) as a listening socket: \(reason)"
        case .notServing:
            "the server is not serving"
        case .resourcesExhausted(let what):
            "the HTTP server cannot go on: the system gave no \(what)"
        }
    }
}
