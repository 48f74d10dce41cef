internal import HTTPServer
internal import Telemetry

/// Asks the daemon for `/livez`: from outside, over a socket, where that is possible.
///
/// A unit with `PrivateNetwork=` inherits its listening socket and can reach no address, its own
/// included. There the handler is asked inside the process, which still shows that Swift's threads
/// make progress.
struct Liveness: Sendable {
    private enum Way: Sendable {
        case socket(SelfRequest)
        case inside(Route)
    }
    private let way: Way

    /// Tries the socket once, and keeps to what worked: a failure later on is a failure.
    init(server: HTTPServer, router: Router, endpoint: Endpoint, log: Logger) async {
        if let request = endpoint.selfRequest(port: server.port) {
            do {
                try await request.run()
                way = .socket(request)
                return
            } catch {
                log.debug(
                    "can't reach the own address; asking inside the process instead",
                    metadata: ["error": "\(error)"])
            }
        }
        guard let route = router.routes.first(where: { $0.pattern == "/livez" }) else {
            preconditionFailure("the router has no /livez")
        }
        way = .inside(route)
    }

    func check() async throws {
        switch way {
        case .socket(let request):
            try await request.run()
        case .inside(let route):
            let head = RequestHead(
                method: route.method, target: route.pattern, path: ["livez"])
            _ = await route.handler(Request(head: head, route: route.pattern))
        }
    }
}
