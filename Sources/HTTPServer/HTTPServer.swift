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
    /// Renders a rejection as a response. If no request was read, the head stands for one: it has
    /// an identifier, and neither path nor header fields. Must not block.
    public typealias RenderRejection = @Sendable (RequestRejection, RequestHead) -> Response
    /// Called at the end of each exchange.
    public typealias ObserveExchange = @Sendable (CompletedExchange) -> Void

    private let core: ServerCore

    public init(
        configuration: ServerConfiguration, router: Router,
        authorize: @escaping Authorize = { _, _ in nil },
        renderRejection: @escaping RenderRejection = { rejection, _ in
            Response(status: rejection.status)
        },
        observe: @escaping ObserveExchange = { _ in },
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

    /// Ends long-polls and streams in flight. `ending` returns the response to a request that must
    /// end, and nil for others: a long-poll receives the response, a stream ends. Requests that may
    /// change something are not ended.
    public func endReads(_ ending: (RequestHead) -> Response?) {
        for exchange in core.connections.exchanges {
            if let response = ending(exchange.head) { exchange.endRead(response) }
        }
    }

    /// Stops accepting connections. Requests on open connections are served, and each connection is
    /// closed after its next response (`Connection: close`). May be called from any thread, and
    /// repeatedly.
    public func quiesce() {
        core.advance(from: .serving, to: .quiesced)
    }

    /// Stops the server. Returns when the exchanges in flight have ended and the last socket is
    /// closed.
    ///
    /// New connections are rejected, idle ones are closed, and streams end at once. A request that
    /// was on the way is served, and its response closes the connection. `GET` handlers, most of
    /// which are long-polls, are cancelled after at most half a second. Other handlers have
    /// `stopGraceSeconds`; then their clients receive `RequestRejection.shuttingDown`. May be
    /// called repeatedly, and without `start`.
    public func stop() async {
        await core.stop()
    }
}
