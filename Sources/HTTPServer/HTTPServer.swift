/// An HTTP/1.1 server.
///
/// It owns sockets, limits and deadlines; what is served is the router's affair, who may come in is
/// `admit`'s, what an error looks like is `refuse`'s. Handlers run as Swift tasks, on the thread
/// that read the request, while their connection sleeps: a long-poll costs no thread. What takes
/// longer than a millisecond they must do elsewhere.
///
/// A server is started once and must be stopped before it is let go of: its thread keeps it alive.
public final class HTTPServer: Sendable {
    /// Called when only the header of a request is known, with the route if one matches. Returns
    /// the response that ends the request there (401, 403, 429), or `nil` to let it pass. Runs on
    /// the thread that serves all connections: it must not wait for anything.
    public typealias Admit = @Sendable (RequestHead, Route?) -> Response?
    /// Words a refusal. Called with the head if it could be read. Must not wait for anything.
    public typealias Refuse = @Sendable (Refusal, RequestHead?) -> Response
    /// Told of every exchange when it is over: the route's pattern, the status that was sent (499
    /// when the client left before there was one), the seconds from header to the last byte.
    public typealias Observe = @Sendable (RequestHead, _ route: String?, Int, Double) -> Void

    private let core: ServerCore

    public init(
        configuration: ServerConfiguration, router: Router,
        admit: @escaping Admit = { _, _ in nil },
        refuse: @escaping Refuse = { refusal, _ in Response(status: refusal.status) },
        observe: @escaping Observe = { _, _, _, _ in }, attendant: Attendant = Attendant()
    ) {
        core = ServerCore(
            configuration: configuration,
            gate: Gate(router: router, admit: admit, refuse: refuse), observe: observe,
            attendant: attendant)
    }

    /// Opens the socket and serves. Returns when connections are taken.
    public func start() throws(ServerError) {
        try core.start()
    }

    /// The port that is listened on; 0 before the start and for a Unix socket.
    public var port: Int { core.port }

    /// What goes on right now, for metrics.
    public var activity: ServerActivity { core.activity }

    /// A connection from within the process: a connected stream socket whose other end is served
    /// like any client's, by the same threads and under the same limits. It needs no network and no
    /// address. The caller owns it and closes it.
    public func connect() throws(ServerError) -> Int32 {
        try core.connect()
    }

    /// Takes no new connections. Those that are open go on, and new requests on them are served.
    /// May be called from anywhere, more than once.
    public func quiesce() {
        core.leave(.serving, for: .quiesced)
    }

    /// Ends the server, after exchanges in flight have ended. Returns when the last socket is
    /// closed.
    ///
    /// No new connections or requests; streams are finished at once; `GET` handlers are cancelled
    /// after a moment, for these are the long-polls; other handlers have `stopGraceSeconds`, then
    /// their clients are told `Refusal.shuttingDown`. May be called more than once, and without a
    /// start.
    public func stop() async {
        await core.stop()
    }
}

/// Counters of a server at one moment.
public struct ServerActivity: Sendable, Equatable {
    public var connectionsOpen: Int
    /// Requests whose header has come and whose response is not yet sent, streams included.
    public var exchangesInFlight: Int
    /// Of those, the ones waiting for a handler or for the next piece of a stream.
    public var exchangesWaiting: Int
    /// Since the start: connections turned away for a limit, and connections cut at a deadline.
    public var connectionsRefused: Int
    public var connectionsCut: Int
    public var bodyBytesInFlight: Int
}
