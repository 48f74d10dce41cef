import Glibc
import Synchronization

/// Enforces the deadlines of all connections. The acceptor thread calls it at intervals.
///
/// libmicrohttpd's own timeout measures inactivity only, so a client that sends a byte now and then
/// would never time out. Nor does the library notice that a client disconnected while its
/// connection is suspended. The monitor handles both.
struct DeadlineMonitor: Sendable {
    private let core: ServerCore

    init(core: ServerCore) { self.core = core }

    /// The time between two scans: a quarter of the shortest deadline, from 50 ms to 1 s.
    static func intervalNanoseconds(_ configuration: ServerConfiguration) -> Int64 {
        let shortest = min(
            configuration.headerDeadlineSeconds, configuration.bodyDeadlineSeconds,
            configuration.responseDeadlineSeconds, configuration.streamStallSeconds,
            configuration.responseStallSeconds)
        return Int64(min(1, max(0.05, shortest / 4)) * 1e9)
    }

    /// Scans all connections and acts on what was found.
    func enforceDeadlines() {
        let findings = scan()
        for exchange in findings.abandoned { exchange.cancel() }
        let timeout = RequestRejection.handlerTimedOut(
            afterSeconds: core.configuration.responseDeadlineSeconds)
        for exchange in findings.unanswered {
            exchange.respond(core.dispatcher.response(to: timeout, exchange.head))
            exchange.cancel()
        }
        for connection in findings.overdue where connection.markTimedOut() {
            core.counters.connectionsTimedOut.add(1, ordering: .relaxed)
            disconnect(connection)
        }
    }

    private struct Findings: Sendable {
        /// Connections whose client missed a deadline.
        var overdue: [Connection] = []
        /// Exchanges whose handler missed the response deadline.
        var unanswered: [Exchange] = []
        /// Exchanges whose client has disconnected while the connection is suspended.
        var abandoned: [Exchange] = []
    }

    private func scan() -> Findings {
        let now = MonotonicClock.nanoseconds()
        let stallLimit = now - MonotonicClock.nanoseconds(core.configuration.streamStallSeconds)
        let interval = MonotonicClock.nanoseconds(core.configuration.responseStallSeconds)
        let rate = Double(core.configuration.bodyBytesPerSecondMin)
        let bytesMin =
            core.clientMemory.isShort ? Int(rate * core.configuration.responseStallSeconds) : 1
        return core.connections.withOpenConnections { connections in
            var findings = Findings()
            var pollEntries: [pollfd] = []
            var polledExchanges: [Exchange] = []
            for connection in connections {
                let (stage, exchange, isOverdue) = connection.status(at: now)
                switch stage {
                case .awaitingHandler:
                    if isOverdue, let exchange { findings.unanswered.append(exchange) }
                case .idle, .sendingHeader, .sendingBody, .receivingResponse:
                    if isOverdue { findings.overdue.append(connection) }
                }
                guard let exchange else { continue }
                if exchange.isStalled(since: stallLimit)
                    || exchange.isStalled(at: now, interval: interval, bytesMin: bytesMin)
                {
                    findings.overdue.append(connection)
                }
                if exchange.needsDisconnectCheck {
                    pollEntries.append(
                        pollfd(
                            fd: connection.fileDescriptor, events: SocketPoll.peerClosed,
                            revents: 0))
                    polledExchanges.append(exchange)
                }
            }
            SocketPoll.wait(&pollEntries, milliseconds: 0)
            for (entry, exchange) in zip(pollEntries, polledExchanges) where entry.revents != 0 {
                findings.abandoned.append(exchange)
            }
            return findings
        }
    }

    /// Shuts down the socket, after a 408 response if the request is incomplete. The library then
    /// sees the end of the stream and closes the connection.
    private func disconnect(_ connection: Connection) {
        let (stage, exchange, _) = connection.status(at: 0)
        var timeoutResponse: [UInt8]?
        switch stage {
        case .sendingHeader, .sendingBody:
            let head =
                exchange?.head
                ?? .unread(from: connection.remoteAddress, target: connection.target)
            timeoutResponse = RawResponse.serialized(
                core.dispatcher.response(to: .requestTimedOut, head), to: head)
        case .idle, .awaitingHandler, .receivingResponse:
            timeoutResponse = nil
        }
        core.connections.ifOpen(connection) {
            if let timeoutResponse {
                RawResponse.send(timeoutResponse, to: connection.fileDescriptor)
            }
            shutdown(connection.fileDescriptor, Int32(SHUT_RDWR))
        }
    }
}
