import Synchronization

extension ConnectionAcceptor {
    /// The time between two steps of the shutdown sequence.
    private static let shutdownIntervalNanoseconds: Int64 = 5_000_000

    /// How long the connections without an exchange have to close.
    private static let closingSeconds = 0.25

    /// Carries out the shutdown sequence. Returns when all event loops have stopped.
    func drainExchanges() {
        let start = MonotonicClock.nanoseconds()
        var sequence = ShutdownSequence(graceSeconds: core.configuration.stopGraceSeconds)
        while true {
            let elapsed = Double(MonotonicClock.nanoseconds() - start) / 1e9
            core.connections.endIdle()
            // An ended connection closes by itself, after a request that had arrived.
            let closing = elapsed < Self.closingSeconds ? core.connections.count : 0
            let step = sequence.next(
                elapsedSeconds: elapsed,
                inFlight: max(
                    closing,
                    core.counters.exchangesInFlight.load(ordering: .sequentiallyConsistent)),
                suspended: core.counters.exchangesSuspended.load(ordering: .sequentiallyConsistent))
            if step == .stop {
                for loop in eventLoops { loop.stop() }
                return
            }
            perform(step)
            for exchange in core.connections.exchanges { exchange.finishStream() }
            for loop in eventLoops { loop.wake() }
            _ = waitForEvents(
                until: MonotonicClock.nanoseconds() + Self.shutdownIntervalNanoseconds,
                accepting: false)
        }
    }

    private func perform(_ step: ShutdownSequence.Step) {
        switch step {
        case .wait, .stop:
            break
        case .cancelReads:
            for exchange in core.connections.exchanges where exchange.head.method.isSafe {
                exchange.cancel()
            }
        case .cancelAll:
            for exchange in core.connections.exchanges { exchange.cancel() }
        case .respondToAll:
            core.advance(from: .draining, to: .closing)
            for exchange in core.connections.exchanges {
                exchange.respond(core.dispatcher.response(to: .shuttingDown, exchange.head))
            }
        case .disconnectAll:
            core.connections.disconnectAll()
        }
    }
}
