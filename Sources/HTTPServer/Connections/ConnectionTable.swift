import Synchronization

/// The open connections, counted in total and by remote address.
///
/// A connection is taken out before its descriptor is closed, under the same lock that readers of
/// the table hold: whoever uses a descriptor inside `withOpen` uses the right one.
final class ConnectionTable: Sendable {
    fileprivate struct State {
        var count = 0
        var byAddress: [String: Int] = [:]
        /// Accepted, not yet begun by the thread that will serve them. Key: the descriptor.
        var arriving: [Int32: String] = [:]
        var open: [Int32: Connection] = [:]
    }

    private let state = Mutex(State())

    var count: Int { state.withLock { $0.count } }

    /// Counts a connection that was accepted, unless that would pass the limit that it returns.
    func admit(
        _ descriptor: Int32, from address: String, max: Int, maxPerAddress: Int
    ) -> Refusal.Limit? {
        state.withLock { state in
            let fromThere = state.byAddress[address] ?? 0
            if state.count >= max { return .connections }
            if maxPerAddress > 0, address != "unix", fromThere >= maxPerAddress {
                return .connectionsPerAddress
            }
            state.count += 1
            state.byAddress[address] = fromThere + 1
            state.arriving[descriptor] = address
            return nil
        }
    }

    /// The connection begins. Returns the address it was admitted from.
    func open(_ descriptor: Int32, _ make: (String) -> Connection) -> Connection {
        state.withLock { state in
            let connection = make(state.arriving.removeValue(forKey: descriptor) ?? "unknown")
            state.open[descriptor] = connection
            return connection
        }
    }

    /// The connection is about to be closed.
    func close(_ connection: Connection) {
        state.withLock { state in
            state.open[connection.fileDescriptor] = nil
            state.forget(connection.remoteAddress)
        }
    }

    /// The connection was admitted but never began.
    func drop(_ descriptor: Int32) {
        state.withLock { state in
            if let address = state.arriving.removeValue(forKey: descriptor) {
                state.forget(address)
            }
        }
    }

    /// Calls `body` if the connection is still open, under the same conditions as `withOpen`.
    func ifOpen(_ connection: Connection, _ body: () -> Void) {
        state.withLock { state in
            if state.open[connection.fileDescriptor] === connection { body() }
        }
    }

    /// Calls `body` with every open connection. None of them is closed while it runs; it must not
    /// wait, nor run foreign code.
    func withOpen<Result: Sendable>(_ body: (Dictionary<Int32, Connection>.Values) -> Result)
        -> Result
    {
        state.withLock { body($0.open.values) }
    }
}

extension ConnectionTable.State {
    fileprivate mutating func forget(_ address: String) {
        count -= 1
        let left = (byAddress[address] ?? 0) - 1
        byAddress[address] = left > 0 ? left : nil
    }
}
