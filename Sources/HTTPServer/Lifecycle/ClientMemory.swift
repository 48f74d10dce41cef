import Synchronization

/// The memory that the responses of all clients hold, and that of the long bodies and responses of
/// each address.
///
/// Both limits let one thing through that is larger than they are, if nothing else is counted: it
/// could never be had otherwise.
final class ClientMemory: Sendable {
    private struct State {
        var responses = 0
        var byAddress: [String: Int] = [:]
    }

    /// What is reserved, and is to be released.
    struct Reservation: Sendable {
        fileprivate var responseBytes = 0
        fileprivate var bytes = 0
    }

    /// Shorter ones are not counted: they take no more than the connection itself.
    static let countedBytesMin = 16 << 10

    private let responsesMax: Int
    private let perAddressMax: Int
    private let state = Mutex(State())

    /// - Parameter perAddressMax: 0 for no limit.
    init(responsesMax: Int, perAddressMax: Int) {
        self.responsesMax = responsesMax
        self.perAddressMax = perAddressMax
    }

    var responseBytes: Int { state.withLock { $0.responses } }

    /// Whether more than half of the memory for responses is taken: slow readers then have to make
    /// room.
    var isShort: Bool { responseBytes > responsesMax / 2 }

    /// Counts a body of a request. Returns the limit that it would exceed, if any.
    func reserveBody(
        _ bytes: Int, of address: String, _ reservation: inout Reservation
    ) -> RequestRejection? {
        guard bytes >= Self.countedBytesMin else { return nil }
        return state.withLock { state in
            if let rejection = add(bytes, of: address, to: &state) { return rejection }
            reservation.bytes += bytes
            return nil
        }
    }

    /// Counts what a response holds until it is sent. Returns the limit that it would exceed.
    func reserveResponse(
        _ bytes: Int, to address: String, _ reservation: inout Reservation
    ) -> RequestRejection? {
        guard bytes >= Self.countedBytesMin else { return nil }
        return state.withLock { state in
            guard state.responses == 0 || bytes <= responsesMax - state.responses else {
                return .overloaded(
                    .responseBytesInFlight, maximum: responsesMax, retryAfterSeconds: 1)
            }
            if let rejection = add(bytes, of: address, to: &state) { return rejection }
            state.responses += bytes
            reservation.responseBytes += bytes
            reservation.bytes += bytes
            return nil
        }
    }

    func release(_ reservation: Reservation, of address: String) {
        if reservation.bytes == 0 { return }
        state.withLock { state in
            state.responses -= reservation.responseBytes
            let left = (state.byAddress[address] ?? 0) - reservation.bytes
            state.byAddress[address] = left > 0 ? left : nil
        }
    }

    private func add(
        _ bytes: Int, of address: String, to state: inout State
    ) -> RequestRejection? {
        let taken = state.byAddress[address] ?? 0
        if perAddressMax > 0, address != "unix", taken > 0, bytes > perAddressMax - taken {
            return .overloaded(
                .bytesInFlightPerAddress, maximum: perAddressMax, retryAfterSeconds: 1)
        }
        state.byAddress[address] = taken + bytes
        return nil
    }
}
