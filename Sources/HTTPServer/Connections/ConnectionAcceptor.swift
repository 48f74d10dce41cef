import Glibc
import Synchronization

/// The server's own thread: it accepts connections, keeps deadlines, and ends the server.
///
/// It does everything that takes a clock, so that those that serve need none and never wait.
final class Keeper: Sendable {
    let core: ServerCore
    let port: Int
    private let listening: ListeningSocket
    private let threads: [ServingThread]
    private let connectionsMax: Int
    private let lingering = LingeringSockets()
    /// Connections from within the process that are not yet taken in.
    private let visitors = Mutex<[Int32]>([])
    private let bell: Bell
    private let tickNanoseconds: Int64

    init(core: ServerCore) throws(ServerError) {
        let configuration = core.configuration
        self.core = core
        listening = try ListeningSocket(configuration.listen)
        port = listening.port
        connectionsMax = min(configuration.connectionsMax, Self.connectionsPossible())
        let shortest = min(
            configuration.headerDeadlineSeconds, configuration.bodyDeadlineSeconds,
            configuration.responseDeadlineSeconds, configuration.streamStallSeconds)
        // Coarse: a deadline is kept to a quarter of itself, and nothing is looked at more than 20
        // times a second.
        tickNanoseconds = Int64(min(1, max(0.05, shortest / 4)) * 1e9)
        bell = Bell()
        let count = configuration.threadCount
        var threads: [ServingThread] = []
        for _ in 0..<count {
            let thread = ServingThread(core: core)
            guard thread.start() else { break }
            threads.append(thread)
        }
        self.threads = threads
        guard bell.isSound, threads.count == count else {
            let what = bell.isSound ? "thread" : "pipe"
            release()
            throw .resourcesExhausted(what)
        }
    }

    /// Starts the thread. It holds on to the keeper, and so to the core, until the server has
    /// stopped.
    func run() throws(ServerError) {
        var thread = pthread_t()
        let context = unsafe Unmanaged.passRetained(self)
        // The thread takes over the reference; without a thread it is taken back.
        let result = unsafe pthread_create(&thread, nil, keeperMain, context.toOpaque())
        guard result == 0 else {
            unsafe context.release()
            release()
            throw .resourcesExhausted("thread")
        }
        pthread_detach(thread)
    }

    /// May be called from any thread.
    func wake() {
        bell.ring()
    }

    /// May be called from any thread, for a descriptor that is open during the call.
    func linger(copyOf descriptor: Int32) {
        lingering.add(fcntl(descriptor, F_DUPFD_CLOEXEC, 0))
        wake()
    }

    /// Serves a connected socket, and owns it from here on. May be called from any thread.
    func adopt(_ descriptor: Int32) {
        visitors.withLock { $0.append(descriptor) }
        wake()
    }

    // MARK: The thread

    fileprivate func main() {
        var nextTick = Monotonic.nanoseconds() + tickNanoseconds
        var acceptsAgain: Int64 = 0
        var turn = 0
        while core.phase < .draining {
            let now = Monotonic.nanoseconds()
            let mayAccept = core.phase == .serving && now >= acceptsAgain
            if core.phase == .quiesced { listening.refuseConnections() }
            if wait(until: nextTick, accepting: mayAccept), !accept(&turn) {
                acceptsAgain = Monotonic.nanoseconds() + 100_000_000
            }
            for visitor in takenVisitors() {
                takeIn(
                    visitor, sockaddr_storage(), socklen_t(MemoryLayout<sa_family_t>.size), &turn)
            }
            if Monotonic.nanoseconds() >= nextTick {
                tick()
                nextTick = Monotonic.nanoseconds() + tickNanoseconds
            }
        }
        listening.refuseConnections()
        for visitor in takenVisitors() { close(visitor) }
        drain()
        release()
        core.didStop()
    }

    /// Sleeps until the time, the bell or a socket. Returns whether there is something to accept.
    private func wait(until time: Int64, accepting: Bool) -> Bool {
        var watched = [pollfd(fd: bell.listeningEnd, events: Int16(POLLIN), revents: 0)]
        let listener = accepting ? listening.fileDescriptor : -1
        // A negative descriptor is passed over by poll.
        watched.append(pollfd(fd: listener, events: Int16(POLLIN), revents: 0))
        watched += lingering.watched()
        let milliseconds = max(0, (time - Monotonic.nanoseconds()) / 1_000_000 + 1)
        SocketPoll.wait(&watched, milliseconds: Int32(clamping: milliseconds))
        if watched[0].revents != 0 { bell.silence() }
        lingering.drain(watched.dropFirst(2))
        return watched[1].revents != 0
    }

    /// Takes in what has arrived. Returns false when the system has no descriptors left.
    /// Connections go to the serving threads in turn.
    private func accept(_ turn: inout Int) -> Bool {
        for _ in 0..<64 {
            switch listening.accept() {
            case .none: return true
            case .exhausted: return false
            case .connection(let descriptor, let address, let length):
                takeIn(descriptor, address, length, &turn)
            }
        }
        return true
    }

    private func takenVisitors() -> [Int32] {
        visitors.withLock { visitors in
            defer { visitors = [] }
            return visitors
        }
    }

    private func takeIn(
        _ descriptor: Int32, _ address: sockaddr_storage, _ length: socklen_t, _ turn: inout Int
    ) {
        let perAddressMax = core.configuration.connectionsPerAddressMax
        let limit = core.connections.admit(
            descriptor, from: PeerAddress.text(address), max: connectionsMax,
            maxPerAddress: perAddressMax)
        if let limit {
            turnAway(descriptor, limit, limit == .connections ? connectionsMax : perAddressMax)
            return
        }
        turn = (turn + 1) % threads.count
        threads[turn].add(descriptor, address, length)
    }

    private func turnAway(_ descriptor: Int32, _ limit: Refusal.Limit, _ maximum: Int) {
        core.connectionsRefused.add(1, ordering: .relaxed)
        let response = core.gate.response(
            to: .overloaded(limit, maximum: maximum, retryAfterSeconds: 1), nil)
        RawReply.send(RawReply.bytes(response), to: descriptor)
        lingering.add(descriptor)
    }

    /// Looks at every connection, and does to it what its deadline demands.
    private func tick() {
        let verdicts = Overseer.look(core)
        for exchange in verdicts.vanished { exchange.cancel() }
        let seconds = core.configuration.responseDeadlineSeconds
        for exchange in verdicts.unanswered {
            exchange.answer(
                core.gate.response(to: .unanswered(afterSeconds: seconds), exchange.head))
            exchange.cancel()
        }
        for connection in verdicts.late where connection.cut() {
            core.connectionsCut.add(1, ordering: .relaxed)
            Overseer.cut(connection)
        }
    }

    /// Lets exchanges end, then ends them.
    private func drain() {
        let began = Monotonic.nanoseconds()
        let grace = core.configuration.stopGraceSeconds
        var shutdown = Shutdown(graceSeconds: grace)
        while true {
            let elapsed = Double(Monotonic.nanoseconds() - began) / 1e9
            let inFlight = core.exchangesInFlight.load(ordering: .sequentiallyConsistent)
            let waiting = core.exchangesWaiting.load(ordering: .sequentiallyConsistent)
            switch shutdown.next(elapsedSeconds: elapsed, inFlight: inFlight, waiting: waiting) {
            case .wait: break
            case .cancelSafe:
                for exchange in Overseer.exchanges(core) where exchange.head.method.isSafe {
                    exchange.cancel()
                }
            case .cancelAll:
                for exchange in Overseer.exchanges(core) { exchange.cancel() }
            case .answerAll:
                core.leave(.draining, for: .closing)
                for exchange in Overseer.exchanges(core) {
                    exchange.answer(core.gate.response(to: .shuttingDown, exchange.head))
                }
            case .cutAll:
                Overseer.cutAll(core)
            case .stop:
                for thread in threads { thread.stop() }
                return
            }
            for exchange in Overseer.exchanges(core) { exchange.finishStream() }
            for thread in threads { thread.wake() }
            _ = wait(until: Monotonic.nanoseconds() + 5_000_000, accepting: false)
        }
    }

    /// Closes what the keeper owns. The serving threads, if any run, have no connections when it is
    /// called in `init` or `run`, and are stopped when it is called in `main`.
    private func release() {
        if core.phase < .draining { for thread in threads { thread.stop() } }
        lingering.closeAll()
        close(listening.fileDescriptor)
        bell.close()
    }

    /// What the limit on open files leaves for connections, after a share for everything else.
    private static func connectionsPossible() -> Int {
        var limit = rlimit()
        // `limit` has the type that the call fills in.
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return 512
        }
        return max(16, Int(clamping: limit.rlim_cur) - 128)
    }
}

/// The thread's function, at file scope because it must not take on anybody's isolation.
private func keeperMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    var signals = sigset_t()
    // Signals are for the threads that wait for them. Both calls fill or read `signals` only.
    _ = unsafe sigfillset(&signals)
    _ = unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    guard let context = unsafe context else { return nil }
    // The reference that `run` gave away.
    unsafe Unmanaged<Keeper>.fromOpaque(context).takeRetainedValue().main()
    return nil
}
