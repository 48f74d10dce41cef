internal import API
internal import HTTPServer

/// Where the daemon listens: an address to bind, or a socket that the service manager passed.
struct Endpoint {
    let listener: ServerConfiguration.Listener
    /// The other sockets that the service manager passed.
    let furtherListeners: [ServerConfiguration.Listener]
    /// Of all listeners, in their order.
    private let addresses: [ListenAddress]

    init(settings: Settings, manager: ServiceManager) throws(CommandFailure) {
        guard let first = manager.inherited.first else {
            let address = settings.listen
            addresses = [address]
            furtherListeners = []
            listener =
                address.unixPath.map { .unix(path: $0) }
                ?? .address(host: address.host, port: address.port)
            return
        }
        var addresses: [ListenAddress] = []
        for descriptor in manager.inherited {
            guard let bound = SocketAddress(boundBy: descriptor) else {
                throw CommandFailure(
                    .configuration, "what the service manager passed is no socket")
            }
            addresses.append(bound.listenAddress ?? ListenAddress(unixPath: ""))
        }
        listener = .inherited(fileDescriptor: first)
        furtherListeners = manager.inherited.dropFirst().map { .inherited(fileDescriptor: $0) }
        self.addresses = addresses
    }

    /// Decides whether tokens are required: of several sockets the first that can be reached from
    /// other machines, or else the first. A Unix socket counts as loopback.
    var address: ListenAddress { addresses.first { !$0.isLoopback } ?? addresses[0] }

    func url(port: Int) -> String {
        let address = addresses[0]
        guard let path = address.unixPath else {
            return "http://" + ListenAddress(host: address.host, port: port).text
        }
        return path.isEmpty ? "unix" : "unix:\(path)"
    }

    /// By which names and addresses clients may call.
    func allowedHosts(_ configured: [String]) -> AllowedHosts {
        let networked = addresses.filter { $0.unixPath == nil }
        if networked.isEmpty { return .any }
        return AllowedHosts(
            listening: networked.flatMap {
                [$0.bracketedHost] + SocketAddress.numericHosts(of: $0.host)
            },
            configured: configured, admitsAllAddresses: networked.contains(where: \.isWildcard))
    }
}
