import Glibc

/// Judges all open connections at once: for the keeper, at each tick and when the server stops.
enum Overseer {
    struct Verdicts: Sendable {
        /// Past a deadline; to be cut.
        var late: [Connection] = []
        /// Their handlers took too long.
        var unanswered: [Exchange] = []
        /// Their clients have left, which the library does not notice while they are suspended.
        var vanished: [Exchange] = []
    }

    static func look(_ core: ServerCore) -> Verdicts {
        let now = Monotonic.nanoseconds()
        let stallLimit = now - Monotonic.nanoseconds(core.configuration.streamStallSeconds)
        return core.connections.withOpen { connections in
            var verdicts = Verdicts()
            var watched: [pollfd] = []
            var waiting: [Exchange] = []
            for connection in connections {
                let (stage, exchange, isOverdue) = connection.look(at: now)
                switch stage {
                case .waiting:
                    if isOverdue, let exchange { verdicts.unanswered.append(exchange) }
                case .idle, .sendingHeader, .sendingBody, .takingResponse:
                    if isOverdue { verdicts.late.append(connection) }
                }
                guard let exchange else { continue }
                if exchange.isStalled(since: stallLimit) { verdicts.late.append(connection) }
                if exchange.waitsUnwatched {
                    let events = SocketPoll.peerHasClosed
                    watched.append(
                        pollfd(fd: connection.fileDescriptor, events: events, revents: 0))
                    waiting.append(exchange)
                }
            }
            SocketPoll.wait(&watched, milliseconds: 0)
            for (entry, exchange) in zip(watched, waiting) where entry.revents != 0 {
                verdicts.vanished.append(exchange)
            }
            return verdicts
        }
    }

    static func exchanges(_ core: ServerCore) -> [Exchange] {
        core.connections.withOpen { $0.compactMap(\.exchange) }
    }

    /// Ends the connection, telling a client that is still sending why. The library sees the end of
    /// the stream and cleans up.
    static func cut(_ connection: Connection) {
        let (stage, exchange, _) = connection.look(at: 0)
        let core = connection.core
        var farewell: [UInt8]?
        switch stage {
        case .sendingHeader, .sendingBody:
            farewell = RawReply.bytes(core.gate.response(to: .timedOut, exchange?.head))
        case .idle, .waiting, .takingResponse:
            farewell = nil
        }
        core.connections.ifOpen(connection) {
            if let farewell { RawReply.send(farewell, to: connection.fileDescriptor) }
            shutdown(connection.fileDescriptor, Int32(SHUT_RDWR))
        }
    }

    static func cutAll(_ core: ServerCore) {
        core.connections.withOpen { connections in
            for connection in connections {
                shutdown(connection.fileDescriptor, Int32(SHUT_RDWR))
            }
        }
    }
}

/// `poll`, for an array.
enum SocketPoll {
    /// POLLRDHUP of Linux, which the C library hides behind _GNU_SOURCE.
    static let peerHasClosed: Int16 = 0x2000

    static func wait(_ watched: inout [pollfd], milliseconds: Int32) {
        if watched.isEmpty, milliseconds == 0 { return }
        // The count is that of the array, and the call writes only `revents`.
        let result = unsafe watched.withUnsafeMutableBufferPointer {
            unsafe poll($0.baseAddress, nfds_t($0.count), milliseconds)
        }
        // Interrupted or out of memory: nothing is known, so nothing is reported.
        if result < 0 { for index in watched.indices { watched[index].revents = 0 } }
    }
}
