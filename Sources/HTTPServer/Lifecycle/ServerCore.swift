import HTTPTypes
import Synchronization

/// What the parts of a running server share. Its life goes one way through `Phase`.
final class ServerCore: Sendable {
    /// Each phase does less than the one before.
    enum Phase: UInt8, AtomicRepresentable, Comparable {
        case new, serving
        /// No new connections.
        case quiesced
        /// No new requests; those in flight may end.
        case draining
        /// Every exchange is being answered, whatever its handler does.
        case closing
        case stopped

        static func < (left: Phase, right: Phase) -> Bool { left.rawValue < right.rawValue }
    }

    let configuration: ServerConfiguration
    let gate: Gate
    let observe: HTTPServer.Observe
    let attendant: Attendant
    let connections = ConnectionTable()
    let exchangesInFlight = Atomic<Int>(0)
    let exchangesWaiting = Atomic<Int>(0)
    let bodyBytesInFlight = Atomic<Int>(0)
    let connectionsCut = Atomic<Int>(0)
    let connectionsRefused = Atomic<Int>(0)
    private let currentPhase = Atomic<Phase>(.new)
    private let keeper = Mutex<Keeper?>(nil)
    private let waiters = Mutex<[CheckedContinuation<Void, Never>]>([])

    init(
        configuration: ServerConfiguration, gate: Gate, observe: @escaping HTTPServer.Observe,
        attendant: Attendant
    ) {
        self.configuration = configuration
        self.gate = gate
        self.observe = observe
        self.attendant = attendant
    }

    var phase: Phase { currentPhase.load(ordering: .sequentiallyConsistent) }

    /// Of a request whose body has no room.
    var bodiesOverloaded: Refusal {
        .overloaded(
            .bodyBytesInFlight, maximum: configuration.bodyBytesInFlightMax, retryAfterSeconds: 1)
    }

    var port: Int { keeper.withLock { $0?.port ?? 0 } }

    var activity: ServerActivity {
        ServerActivity(
            connectionsOpen: connections.count,
            exchangesInFlight: exchangesInFlight.load(ordering: .relaxed),
            exchangesWaiting: exchangesWaiting.load(ordering: .relaxed),
            connectionsRefused: connectionsRefused.load(ordering: .relaxed),
            connectionsCut: connectionsCut.load(ordering: .relaxed),
            bodyBytesInFlight: bodyBytesInFlight.load(ordering: .relaxed))
    }

    func start() throws(ServerError) {
        let (begun, _) = currentPhase.compareExchange(
            expected: .new, desired: .serving, ordering: .sequentiallyConsistent)
        guard begun else { throw .startedBefore }
        do {
            let keeper = try Keeper(core: self)
            self.keeper.withLock { $0 = keeper }
            try keeper.run()
        } catch {
            keeper.withLock { $0 = nil }
            currentPhase.store(.stopped, ordering: .sequentiallyConsistent)
            throw error
        }
    }

    /// One end of a pair of sockets whose other end is served.
    func connect() throws(ServerError) -> Int32 {
        guard let keeper = keeper.withLock({ $0 }), phase < .draining else { throw .notServing }
        let (ours, theirs) = try SocketPair.make()
        keeper.adopt(ours)
        return theirs
    }

    /// Moves on to `next` if the phase is still `phase` or an earlier one.
    func leave(_ phase: Phase, for next: Phase) {
        var seen = currentPhase.load(ordering: .sequentiallyConsistent)
        while seen != .new, seen <= phase {
            let (moved, now) = currentPhase.compareExchange(
                expected: seen, desired: next, ordering: .sequentiallyConsistent)
            if moved { break }
            seen = now
        }
        keeper.withLock { $0 }?.wake()
    }

    func stop() async {
        let (unborn, _) = currentPhase.compareExchange(
            expected: .new, desired: .stopped, ordering: .sequentiallyConsistent)
        if unborn { return }
        leave(.quiesced, for: .draining)
        await withCheckedContinuation { continuation in
            // The keeper stores `.stopped` before it takes the waiters, so none is left behind.
            let isOver = waiters.withLock { waiters in
                if phase == .stopped { return true }
                waiters.append(continuation)
                return false
            }
            if isOver { continuation.resume() }
        }
    }

    /// Called by the keeper when the last socket is closed.
    func didStop() {
        let waiting = waiters.withLock { waiters in
            currentPhase.store(.stopped, ordering: .sequentiallyConsistent)
            defer { waiters = [] }
            return waiters
        }
        keeper.withLock { $0 = nil }
        for continuation in waiting { continuation.resume() }
    }

    /// Goes on reading what a client sends although its connection is about to be closed.
    func linger(copyOf descriptor: Int32) {
        keeper.withLock { $0 }?.linger(copyOf: descriptor)
    }

    /// Takes `count` bytes of the budget for bodies, or refuses to.
    func reserveBody(bytes count: Int) -> Bool {
        let (_, total) = bodyBytesInFlight.add(count, ordering: .relaxed)
        if total <= configuration.bodyBytesInFlightMax { return true }
        releaseBody(bytes: count)
        return false
    }

    func releaseBody(bytes count: Int) {
        bodyBytesInFlight.subtract(count, ordering: .relaxed)
    }
}
