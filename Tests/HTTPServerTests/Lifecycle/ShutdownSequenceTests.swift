import HTTPServer
import Testing

@Suite("Shutdown sequence")
struct ShutdownSequenceTests {
    @Test("without exchanges it stops as soon as no connection is suspended")
    func idle() {
        var shutdown = ShutdownSequence(graceSeconds: 10)
        #expect(shutdown.next(elapsedSeconds: 0, inFlight: 0, suspended: 1) == .respondToAll)
        #expect(shutdown.next(elapsedSeconds: 0, inFlight: 0, suspended: 1) == .respondToAll)
        #expect(shutdown.next(elapsedSeconds: 0, inFlight: 0, suspended: 0) == .stop)
    }

    @Test("steps become stricter as time passes")
    func steps() {
        var shutdown = ShutdownSequence(graceSeconds: 4)
        let steps = [0.1, 0.6, 3.9, 4.1, 4.6, 5.0].map {
            shutdown.next(elapsedSeconds: $0, inFlight: 1, suspended: 1)
        }
        #expect(
            steps == [
                .wait, .cancelReads, .cancelReads, .cancelAll, .respondToAll, .respondToAll,
            ])
        #expect(shutdown.next(elapsedSeconds: 5.6, inFlight: 1, suspended: 0) == .disconnectAll)
        #expect(shutdown.next(elapsedSeconds: 6.1, inFlight: 1, suspended: 0) == .stop)
    }

    @Test("it never stops while a connection is suspended")
    func neverWhileSuspended() {
        var shutdown = ShutdownSequence(graceSeconds: 0)
        for second in 0..<100 {
            let step = shutdown.next(elapsedSeconds: Double(second), inFlight: 1, suspended: 1)
            #expect(step != .stop)
        }
    }
}
