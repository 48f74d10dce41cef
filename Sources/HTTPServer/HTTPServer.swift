/// An HTTP/1.1 server.
///
/// It owns sockets, limits and deadlines. Its caller supplies the routes, and the functions that
/// authorize requests and render rejections. Handlers are Swift tasks that run on the event loop
/// that read the request. While a handler awaits something its connection is suspended, so a
/// long-poll occupies no thread. Work of more than about a millisecond must be done on another
/// executor.
///
/// A server can be started once. It must be stopped: its threads keep it alive.
public final class HTTPServer: Sendable {
    /// Authorizes a request by its header and the route that matched, if any. Returns the response
    /// that ends the request (401, 403, 429), or nil to accept it. Called on an event loop: it must
    /// not block.
    public typealias Authorize = @Sendable (RequestHead, Route?) -> Response?
    /// Renders a rejection as a response. The head is nil if no request was read. Must not block.
    public typealias RenderRejection = @Sendable (RequestRejection, RequestHead?) -> Response
    /// Called at the end of each exchange with the route's pattern, the status sent, and the
    /// seconds from the header to the last byte of the response. The status is 499 if the client
    /// disconnected before a response, and 408 if it missed a deadline.
    public typealias ObserveExchange =
        @Sendable (RequestHead, _ route: String?, _ status: Int, _ seconds: Double) -> Void

    private let core: ServerCore

    public init(
        configuration: ServerConfiguration, router: Router,
        authorize: @escaping Authorize = { _, _ in nil },
        renderRejection: @escaping RenderRejection = { rejection, _ in
            Response(status: rejection.status)
        },
        observe: @escaping ObserveExchange = { _, _, _, _ in },
        hooks: EventLoopHooks = EventLoopHooks()
    ) {
        core = ServerCore(
            configuration: configuration,
            dispatcher: RequestDispatcher(
                router: router, authorize: authorize, renderRejection: renderRejection),
            observe: observe, hooks: hooks)
    }

    /// Binds the socket and begins to serve.
    public func start() throws(ServerError) {
        try core.start()
    }

    /// The bound port; 0 before the start and for a Unix socket.
    public var port: Int { core.port }

    /// The current counters, for metrics.
    public var activity: ServerActivity { core.activity }

    /// Connects to the server from within the process: returns a connected stream socket whose
    /// other end is served like any client's, with the same threads and limits. It needs neither
    /// network nor address. The caller owns and closes it.
    public func connect() throws(ServerError) -> Int32 {
        try core.connect()
    }

    /// Stops accepting connections. Open connections and new requests on them are served. May be
    /// called from any thread, and repeatedly.
    public func quiesce() {
        core.advance(from: .serving, to: .quiesced)
    }

    /// Stops the server. Returns when the exchanges in flight have ended and the last socket is
    /// closed.
    ///
    /// New connections and requests are rejected, and streams end at once. `GET` handlers, most of
    /// which are long-polls, are cancelled after at most half a second. Other handlers have
    /// `stopGraceSeconds`; then their clients receive `RequestRejection.shuttingDown`. May be
    /// called repeatedly, and without `start`.
    public func stop() async {
        await core.stop()
    }
}
