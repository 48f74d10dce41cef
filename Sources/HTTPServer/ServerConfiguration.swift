import Glibc

/// Every limit of the server, in one place.
public struct ServerConfiguration: Sendable {
    /// Where connections come from.
    public enum Listener: Sendable, Equatable {
        /// Binds to the first address that `host` names. Port 0 takes any free port.
        case address(host: String, port: Int)
        /// A listening socket made by somebody else (socket activation), TCP or Unix. It is never
        /// shut down, so connections that arrive after ``HTTPServer/quiesce()`` wait in its queue
        /// for whoever serves it next; the descriptor stays the caller's to close.
        case inherited(fileDescriptor: Int32)
    }

    public var listen: Listener
    /// Threads that serve: they speak HTTP, and run handlers. 0: one for each processor, up to
    /// eight.
    public var threads = 0
    /// Over it a connection is answered `Refusal.overloaded` and closed. Lowered at the start to
    /// what the limit on open files allows.
    public var connectionsMax = 10_000
    /// The same for one remote address; 0 for no such limit. Unix sockets have no address. A proxy
    /// in front makes all clients one address: give it none.
    public var connectionsPerAddressMax = 0
    /// From the accepted connection, or the first line of a later request, to the end of its
    /// header.
    public var headerDeadlineSeconds = 10.0
    /// From the end of the header to the end of the body, to which is added a second for each
    /// `bodyBytesPerSecondMin` of `Content-Length`. A large response has as long to be taken.
    public var bodyDeadlineSeconds = 20.0
    /// 64 KiB/s: a gradient of a million numbers then has two minutes more.
    public var bodyBytesPerSecondMin = 64 * 1024
    /// How long a connection may stay silent between requests, and a client may take nothing. At
    /// least one.
    public var idleTimeoutSeconds = 60
    /// From the whole request to the handler's answer; then the handler is cancelled and the
    /// client told `Refusal.unanswered`. Long-polls have a shorter deadline of their own.
    public var responseDeadlineSeconds = 120.0
    /// Bodies held at once, by all requests together. Over it a request is `Refusal.overloaded`.
    public var bodyBytesInFlightMax = 2 << 30
    /// What waits in memory for one client of a stream.
    public var streamBufferBytesMax = 1 << 20
    /// How long a stream waits for its client to take something before it is cut.
    public var streamStallSeconds = 15.0
    /// A refused body up to this length is read and dropped, and the connection goes on; after a
    /// longer one it is closed.
    public var refusedBodyBytesMax = 256 * 1024
    /// How long ``HTTPServer/stop()`` lets exchanges go on.
    public var stopGraceSeconds = 10.0

    public init(listen: Listener) {
        self.listen = listen
    }

    var threadCount: Int {
        threads > 0 ? threads : max(1, min(8, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    }
}
