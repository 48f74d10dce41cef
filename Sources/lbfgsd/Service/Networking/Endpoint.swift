internal import HTTPServer

/// Where the daemon listens: an address to bind, or a socket that the service manager passed.
struct Endpoint {
    let listener: ServerConfiguration.Listener
    /// Decides whether tokens are required; a Unix socket counts as loopback.
    let address: ListenAddress
    private let isUnix: Bool

    init(settings: Settings, manager: ServiceManager) throws(CommandFailure) {
        guard let descriptor = manager.inherited.first else {
            listener = .address(host: settings.listen.host, port: settings.listen.port)
            address = settings.listen
            isUnix = false
            return
        }
        guard manager.inherited.count == 1 else {
            throw CommandFailure(
                .configuration,
                "the service manager passed \(manager.inherited.count) sockets; pass one",
                "one ListenStream= in the socket unit, after an empty one that clears the default")
        }
        guard let bound = SocketAddress(boundBy: descriptor) else {
            throw CommandFailure(.configuration, "what the service manager passed is no socket")
        }
        listener = .inherited(fileDescriptor: descriptor)
        isUnix = bound.listenAddress == nil
        address = bound.listenAddress ?? ListenAddress(host: "localhost", port: 0)
    }

    func url(port: Int) -> String {
        isUnix ? "unix" : "http://" + ListenAddress(host: address.host, port: port).text
    }
}
