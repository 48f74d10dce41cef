import Glibc
import Synchronization

/// The open connections, counted in total and by remote address.
///
/// A connection is removed before its descriptor is closed, under the table's lock. While a caller
/// holds that lock (in `withOpenConnections` and `ifOpen`), the descriptors therefore belong to
/// their connections.
final class ConnectionTable: Sendable {
    fileprivate struct State {
        var count = 0
        var countByAddress: [String: Int] = [:]
        /// The addresses of accepted connections that their event loop has not begun to serve, by
        /// descriptor.
        var admitted: [Int32: String] = [:]
        var open: [Int32: Connection] = [:]
    }

    private let state = Mutex(State())

    /// Admitted and open connections.
    var count: Int { state.withLock { $0.count } }

    /// Counts an accepted connection. Returns the limit that it would exceed, if any; it is then
    /// not counted.
    func admit(
        _ descriptor: Int32, from address: String, max: Int, maxPerAddress: Int
    ) -> RequestRejection.Limit? {
        state.withLock { state in
            let countFromAddress = state.countByAddress[address] ?? 0
            if state.count >= max { return .connections }
            if maxPerAddress > 0, address != "unix", countFromAddress >= maxPerAddress {
                return .connectionsPerAddress
            }
            state.count += 1
            state.countByAddress[address] = countFromAddress + 1
            state.admitted[descriptor] = address
            return nil
        }
    }

    /// Makes an admitted connection an open one. `make` receives the address that it was admitted
    /// from.
    func open(_ descriptor: Int32, _ make: (String) -> Connection) -> Connection {
        state.withLock { state in
            let connection = make(state.admitted.removeValue(forKey: descriptor) ?? "unknown")
            state.open[descriptor] = connection
            return connection
        }
    }

    /// Removes an open connection, whose descriptor is about to be closed.
    func remove(_ connection: Connection) {
        state.withLock { state in
            state.open[connection.fileDescriptor] = nil
            state.discount(connection.remoteAddress)
        }
    }

    /// Removes an admitted connection that will not be served.
    func cancelAdmission(of descriptor: Int32) {
        state.withLock { state in
            if let address = state.admitted.removeValue(forKey: descriptor) {
                state.discount(address)
            }
        }
    }

    /// Calls `body` if the connection is open. The restrictions of `withOpenConnections` apply.
    func ifOpen(_ connection: Connection, _ body: () -> Void) {
        state.withLock { state in
            if state.open[connection.fileDescriptor] === connection { body() }
        }
    }

    /// Calls `body` with all open connections. None is closed meanwhile. `body` runs under the
    /// table's lock: it must not block, nor call code outside the server.
    func withOpenConnections<Result: Sendable>(
        _ body: (Dictionary<Int32, Connection>.Values) -> Result
    ) -> Result {
        state.withLock { body($0.open.values) }
    }

    /// The exchanges in progress.
    var exchanges: [Exchange] {
        withOpenConnections { $0.compactMap(\.exchange) }
    }

    /// Ends the connections that wait for their next request. A request that has arrived already
    /// is still read and answered; after it, or at once, the library sees the end of the stream and
    /// closes the connection.
    func endIdle() {
        withOpenConnections { connections in
            for connection in connections where connection.isIdle {
                shutdown(connection.fileDescriptor, Int32(SHUT_RD))
            }
        }
    }

    /// Shuts down the sockets of all open connections.
    func disconnectAll() {
        withOpenConnections { connections in
            for connection in connections {
                shutdown(connection.fileDescriptor, Int32(SHUT_RDWR))
            }
        }
    }
}

extension ConnectionTable.State {
    fileprivate mutating func discount(_ address: String) {
        count -= 1
        let remaining = (countByAddress[address] ?? 0) - 1
        countByAddress[address] = remaining > 0 ? remaining : nil
    }
}
