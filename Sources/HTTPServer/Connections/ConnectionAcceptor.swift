import Glibc
import Synchronization

/// The thread that accepts connections and distributes them to the event loops. It also runs the
/// deadline monitor and the server's shutdown: everything that needs a clock, so that event loops
/// need no timers.
///
/// libmicrohttpd could accept connections itself, but `MHD_quiesce_daemon` races with its thread
/// and may abort the process.
final class ConnectionAcceptor: Sendable {
    let core: ServerCore
    let eventLoops: [EventLoop]
    private let listeningSockets: [ListeningSocket]
    private let connectionsMax: Int
    private let lingeringCloses = LingeringCloses()
    /// Connections from within the process that have not been distributed yet.
    private let inProcessConnections = Mutex<[Int32]>([])
    private let connectionsDistributed = Atomic<Int>(0)
    private let wakeupPipe = WakeupPipe()
    private let deadlineMonitor: DeadlineMonitor
    private let monitorInterval: Int64

    /// The most connections accepted before the thread attends to its other work.
    private static let acceptsPerWakeupMax = 64
    /// The pause in accepting after the system ran out of descriptors.
    private static let exhaustedPauseNanoseconds: Int64 = 100_000_000

    /// The port of the first listener, or 0 for a Unix socket.
    var port: Int { listeningSockets.first?.port ?? 0 }

    /// Binds the listening sockets and starts the event loops.
    init(core: ServerCore) throws(ServerError) {
        self.core = core
        listeningSockets = try Self.bind(core.configuration)
        connectionsMax = core.configuration.connectionsPossible
        deadlineMonitor = DeadlineMonitor(core: core)
        monitorInterval = DeadlineMonitor.intervalNanoseconds(core.configuration)
        let count = core.configuration.threadCount
        var loops: [EventLoop] = []
        for _ in 0..<count {
            let loop = EventLoop(core: core)
            guard loop.start() else { break }
            loops.append(loop)
        }
        eventLoops = loops
        guard wakeupPipe.isOpen, loops.count == count else {
            let missing = wakeupPipe.isOpen ? "thread" : "pipe"
            abandonStart()
            throw .resourcesExhausted(missing)
        }
    }

    /// Starts the thread. It retains the acceptor, and thereby the core, until the server has
    /// stopped.
    func run() throws(ServerError) {
        guard let thread = ServerThread.start({ self.main() }) else {
            abandonStart()
            throw .resourcesExhausted("thread")
        }
        pthread_detach(thread)
    }

    // MARK: From any thread

    func wake() {
        wakeupPipe.wake()
    }

    /// Discards what the client sends for a while, although the library is about to close the
    /// connection. The descriptor must be open during the call; it is duplicated.
    func lingerOnClose(of descriptor: Int32) {
        lingeringCloses.add(fcntl(descriptor, F_DUPFD_CLOEXEC, 0))
        wake()
    }

    /// Serves a connected socket and takes ownership of it.
    func serveInProcess(_ descriptor: Int32) {
        inProcessConnections.withLock { $0.append(descriptor) }
        wake()
    }

    // MARK: The thread

    private func main() {
        var nextScan = MonotonicClock.nanoseconds() + monitorInterval
        var acceptingResumesAt: Int64 = 0
        while core.phase < .draining {
            let isAccepting =
                core.phase == .serving && MonotonicClock.nanoseconds() >= acceptingResumesAt
            if core.phase == .quiesced { refuseConnections() }
            if waitForEvents(until: nextScan, accepting: isAccepting), !acceptConnections() {
                acceptingResumesAt =
                    MonotonicClock.nanoseconds() + Self.exhaustedPauseNanoseconds
            }
            for descriptor in takeInProcessConnections() {
                distribute(descriptor, from: SocketAddress())
            }
            if MonotonicClock.nanoseconds() >= nextScan {
                deadlineMonitor.enforceDeadlines()
                nextScan = MonotonicClock.nanoseconds() + monitorInterval
            }
        }
        refuseConnections()
        for descriptor in takeInProcessConnections() { close(descriptor) }
        drainExchanges()
        closeDescriptors()
        core.didStop()
    }

    /// Blocks until the time, a wakeup, or a socket event. Returns whether there are connections to
    /// accept.
    func waitForEvents(until time: Int64, accepting: Bool) -> Bool {
        var entries = [pollfd(fd: wakeupPipe.readEnd, events: Int16(POLLIN), revents: 0)]
        entries += listeningSockets.map { listener in
            // poll ignores a negative descriptor.
            pollfd(
                fd: accepting ? listener.fileDescriptor : -1, events: Int16(POLLIN), revents: 0)
        }
        let listeners = entries.indices.dropFirst()
        entries += lingeringCloses.pollEntries()
        let milliseconds = max(0, (time - MonotonicClock.nanoseconds()) / 1_000_000 + 1)
        SocketPoll.wait(&entries, milliseconds: Int32(clamping: milliseconds))
        if entries[0].revents != 0 { wakeupPipe.drain() }
        lingeringCloses.discardInput(entries[listeners.endIndex...])
        return entries[listeners].contains { $0.revents != 0 }
    }

    /// Accepts waiting connections. Returns false if the system has no descriptors left.
    private func acceptConnections() -> Bool {
        for listener in listeningSockets {
            guard acceptConnections(of: listener) else { return false }
        }
        return true
    }

    private func acceptConnections(of listener: ListeningSocket) -> Bool {
        for _ in 0..<Self.acceptsPerWakeupMax {
            switch listener.accept() {
            case .none: return true
            case .exhausted: return false
            case .connection(let descriptor, let address):
                distribute(descriptor, from: address)
            }
        }
        return true
    }

    private func refuseConnections() {
        for listener in listeningSockets { listener.refuseConnections() }
    }

    /// Binds all listeners, or none.
    private static func bind(
        _ configuration: ServerConfiguration
    ) throws(ServerError) -> [ListeningSocket] {
        var bound: [ListeningSocket] = []
        for listener in [configuration.listen] + configuration.furtherListeners {
            do {
                bound.append(try ListeningSocket(listener))
            } catch {
                for socket in bound { socket.close() }
                throw error
            }
        }
        return bound
    }

    private func takeInProcessConnections() -> [Int32] {
        inProcessConnections.withLock { connections in
            defer { connections = [] }
            return connections
        }
    }

    /// Passes a connection to the next event loop in turn, or turns it away if it exceeds a limit.
    private func distribute(_ descriptor: Int32, from address: SocketAddress) {
        let maxPerAddress = core.configuration.connectionsPerAddressMax
        let exceededLimit = core.connections.admit(
            descriptor, from: address.host, max: connectionsMax, maxPerAddress: maxPerAddress)
        if let exceededLimit {
            turnAway(
                descriptor, address, exceededLimit,
                maximum: exceededLimit == .connections ? connectionsMax : maxPerAddress)
            return
        }
        let number = connectionsDistributed.add(1, ordering: .relaxed).newValue
        eventLoops[number % eventLoops.count].add(descriptor, from: address)
    }

    private func turnAway(
        _ descriptor: Int32, _ address: SocketAddress, _ limit: RequestRejection.Limit,
        maximum: Int
    ) {
        core.counters.connectionsRejected.add(1, ordering: .relaxed)
        let head = RequestHead.unread(from: address.host)
        let response = core.dispatcher.response(
            to: .overloaded(limit, maximum: maximum, retryAfterSeconds: 1), head)
        RawResponse.send(RawResponse.serialized(response, to: head), to: descriptor)
        lingeringCloses.add(descriptor)
    }

    /// Undoes `init` if the server could not start. The event loops have no connections.
    private func abandonStart() {
        for loop in eventLoops { loop.stop() }
        closeDescriptors()
    }

    private func closeDescriptors() {
        lingeringCloses.closeAll()
        for listener in listeningSockets { listener.close() }
        wakeupPipe.close()
    }
}
