import Glibc

/// All limits and deadlines of the server.
public struct ServerConfiguration: Sendable {
    public enum Listener: Sendable, Equatable {
        /// Binds to the first address that `host` resolves to. Port 0 selects a free port.
        case address(host: String, port: Int)
        /// Binds a Unix socket at the path, which its user and group may use (mode 0660). What an
        /// ended process left there is replaced.
        case unix(path: String)
        /// A listening TCP or Unix socket created by someone else (socket activation). The server
        /// never shuts it down, so connections that arrive after ``HTTPServer/quiesce()`` wait in
        /// its queue for the next process. The caller closes the descriptor.
        case inherited(fileDescriptor: Int32)
    }

    public var listen: Listener
    /// Listened on as well.
    public var furtherListeners: [Listener] = []
    /// The number of event loops. 0: one per processor, at most eight.
    public var threads = 0
    /// Further connections are answered with `RequestRejection.overloaded` and closed. Lowered at
    /// the start to what the limit on open files allows.
    public var connectionsMax = 10_000
    /// The same limit for one remote address; 0 disables it. It does not apply to Unix sockets.
    /// Behind a proxy all clients have one address: leave it disabled there.
    public var connectionsPerAddressMax = 0
    /// The time from accepting a connection, or from the request line of a later request, to the
    /// end of the header.
    public var headerDeadlineSeconds = 10.0
    /// The time from the end of the header to the end of the body, plus one second per
    /// `bodyBytesPerSecondMin` bytes of `Content-Length`. Also the time in which a client must
    /// read a response.
    public var bodyDeadlineSeconds = 20.0
    /// 64 KiB/s. It gives a gradient of a million Float64 numbers two minutes more.
    public var bodyBytesPerSecondMin = 64 * 1024
    /// The longest inactivity between requests and while a response is read. At least 1.
    public var idleTimeoutSeconds = 60
    /// The time from the complete request to the handler's response. Then the handler is cancelled
    /// and the client receives `RequestRejection.handlerTimedOut`. Long-polls must have a shorter
    /// deadline of their own.
    public var responseDeadlineSeconds = 120.0
    /// The memory for the request bodies of all connections. Further requests with a body are
    /// rejected as `RequestRejection.overloaded`.
    public var bodyBytesInFlightMax = 2 << 30
    /// The memory that responses of all connections hold until their clients have read them.
    /// Further ones become `RequestRejection.overloaded`.
    public var responseBytesInFlightMax = 2 << 30
    /// The memory for bodies and responses of one remote address; 0 for no limit.
    public var bytesInFlightPerAddressMax = 1 << 30
    /// The buffered bytes of one streamed response.
    public var streamBufferBytesMax = 32 << 10
    /// What the kernel may hold of a streamed response, as far as it can be told. Left to itself it
    /// lets a reader that stalls have some 4 MB (`tcp_wmem`), which nobody counts.
    public var streamSendBufferBytesMax = 64 << 10
    /// How long a stream with a full buffer waits for its client to read before it is disconnected.
    public var streamStallSeconds = 15.0
    /// A client that reads nothing of a long response for this time is disconnected. When memory
    /// for responses is short, it has to read `bodyBytesPerSecondMin`.
    public var responseStallSeconds = 30.0
    /// A rejected request's body up to this length is read and discarded, and the connection is
    /// reused. After a longer one the connection is closed.
    public var rejectedBodyBytesMax = 256 * 1024
    /// How long ``HTTPServer/stop()`` lets exchanges continue.
    public var stopGraceSeconds = 10.0

    public init(listen: Listener) {
        self.listen = listen
    }

    /// `connectionsMax`, lowered to what the limit on open files allows, with 128 descriptors
    /// reserved for everything else.
    public var connectionsPossible: Int {
        var limit = rlimit()
        // Sound: getrlimit fills in one rlimit.
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return min(connectionsMax, 512)
        }
        return min(connectionsMax, max(16, Int(clamping: limit.rlim_cur) - 128))
    }

    var threadCount: Int {
        threads > 0 ? threads : max(1, min(8, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
    }

    /// What a stream is counted with: its buffer, the library's, and what its source has read.
    var streamBytesMax: Int { streamBufferBytesMax + (96 << 10) }

    /// How long a client may take to send or receive that many bytes.
    func transferSeconds(bytes: Int) -> Double {
        bodyDeadlineSeconds + Double(bytes) / Double(max(1, bodyBytesPerSecondMin))
    }
}
