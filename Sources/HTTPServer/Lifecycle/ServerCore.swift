import HTTPTypes
import Synchronization

/// State shared by the public `HTTPServer`, the acceptor thread and the event loops.
///
/// `HTTPServer` moves the phase forward; the acceptor's thread carries out what the phase demands.
final class ServerCore: Sendable {
    let configuration: ServerConfiguration
    let dispatcher: RequestDispatcher
    let observe: HTTPServer.ObserveExchange
    let hooks: EventLoopHooks
    let connections = ConnectionTable()
    let counters = ServerCounters()
    let clientMemory: ClientMemory
    private let currentPhase = Atomic<ServerPhase>(.new)
    /// Present while the server runs.
    private let acceptor = Mutex<ConnectionAcceptor?>(nil)
    private let stopWaiters = Mutex<[CheckedContinuation<Void, Never>]>([])

    init(
        configuration: ServerConfiguration, dispatcher: RequestDispatcher,
        observe: @escaping HTTPServer.ObserveExchange, hooks: EventLoopHooks
    ) {
        self.configuration = configuration
        clientMemory = ClientMemory(
            responsesMax: configuration.responseBytesInFlightMax,
            perAddressMax: configuration.bytesInFlightPerAddressMax)
        self.dispatcher = dispatcher
        self.observe = observe
        self.hooks = hooks
    }

    var phase: ServerPhase { currentPhase.load(ordering: .sequentiallyConsistent) }

    var port: Int { acceptor.withLock { $0?.port ?? 0 } }

    var activity: ServerActivity {
        ServerActivity(
            connectionsOpen: connections.count,
            exchangesInFlight: counters.exchangesInFlight.load(ordering: .relaxed),
            exchangesSuspended: counters.exchangesSuspended.load(ordering: .relaxed),
            connectionsRejected: counters.connectionsRejected.load(ordering: .relaxed),
            connectionsTimedOut: counters.connectionsTimedOut.load(ordering: .relaxed),
            bodyBytesInFlight: counters.bodyBytesInFlight.load(ordering: .relaxed),
            responseBytesInFlight: clientMemory.responseBytes)
    }

    // MARK: Phases

    func start() throws(ServerError) {
        let (isFirst, _) = currentPhase.compareExchange(
            expected: .new, desired: .serving, ordering: .sequentiallyConsistent)
        guard isFirst else { throw .alreadyStarted }
        do {
            let acceptor = try ConnectionAcceptor(core: self)
            self.acceptor.withLock { $0 = acceptor }
            try acceptor.run()
        } catch {
            acceptor.withLock { $0 = nil }
            currentPhase.store(.stopped, ordering: .sequentiallyConsistent)
            throw error
        }
    }

    /// Sets the phase to `next` if it is `latest` or earlier, but not `.new`.
    func advance(from latest: ServerPhase, to next: ServerPhase) {
        var seen = currentPhase.load(ordering: .sequentiallyConsistent)
        while seen != .new, seen <= latest {
            let (isExchanged, now) = currentPhase.compareExchange(
                expected: seen, desired: next, ordering: .sequentiallyConsistent)
            if isExchanged { break }
            seen = now
        }
        acceptor.withLock { $0 }?.wake()
    }

    func stop() async {
        let (wasNew, _) = currentPhase.compareExchange(
            expected: .new, desired: .stopped, ordering: .sequentiallyConsistent)
        if wasNew { return }
        advance(from: .quiesced, to: .draining)
        await withCheckedContinuation { continuation in
            // `didStop` stores `.stopped` under the same lock, so no continuation is left behind.
            let isStopped = stopWaiters.withLock { waiters in
                if phase == .stopped { return true }
                waiters.append(continuation)
                return false
            }
            if isStopped { continuation.resume() }
        }
    }

    /// Called by the acceptor's thread after the last socket was closed.
    func didStop() {
        let waiters = stopWaiters.withLock { waiters in
            currentPhase.store(.stopped, ordering: .sequentiallyConsistent)
            defer { waiters = [] }
            return waiters
        }
        acceptor.withLock { $0 = nil }
        for continuation in waiters { continuation.resume() }
    }

    // MARK: Connections

    /// Returns one end of a socket pair whose other end is served.
    func connect() throws(ServerError) -> Int32 {
        guard let acceptor = acceptor.withLock({ $0 }), phase < .draining else {
            throw .notServing
        }
        let (served, returned) = try SocketPair.make()
        acceptor.serveInProcess(served)
        return returned
    }

    /// Discards what the client sends for a while, although the library is about to close the
    /// connection.
    func lingerOnClose(of descriptor: Int32) {
        acceptor.withLock { $0 }?.lingerOnClose(of: descriptor)
    }

    // MARK: The budget for request bodies

    /// Reserves memory for a body. Returns false if the limit would be exceeded.
    func reserveBody(bytes count: Int) -> Bool {
        let (_, total) = counters.bodyBytesInFlight.add(count, ordering: .relaxed)
        if total <= configuration.bodyBytesInFlightMax { return true }
        releaseBody(bytes: count)
        return false
    }

    func releaseBody(bytes count: Int) {
        counters.bodyBytesInFlight.subtract(count, ordering: .relaxed)
    }

    /// The rejection of a request after `reserveBody` returned false.
    var bodyBudgetExceeded: RequestRejection {
        .overloaded(
            .bodyBytesInFlight, maximum: configuration.bodyBytesInFlightMax, retryAfterSeconds: 1)
    }
}
