import HTTPServer
import Testing

@Suite("The order of stopping")
struct ShutdownTests {
    @Test("with nothing in flight it closes, and stops when nothing is suspended")
    func idle() {
        var shutdown = Shutdown(graceSeconds: 10)
        #expect(shutdown.next(elapsedSeconds: 0, inFlight: 0, waiting: 1) == .answerAll)
        #expect(shutdown.next(elapsedSeconds: 0, inFlight: 0, waiting: 1) == .answerAll)
        #expect(shutdown.next(elapsedSeconds: 0, inFlight: 0, waiting: 0) == .stop)
    }

    @Test("patience runs out in steps")
    func steps() {
        var shutdown = Shutdown(graceSeconds: 4)
        let steps = [0.1, 0.6, 3.9, 4.1, 4.6, 5.0].map {
            shutdown.next(elapsedSeconds: $0, inFlight: 1, waiting: 1)
        }
        #expect(steps == [.wait, .cancelSafe, .cancelSafe, .cancelAll, .answerAll, .answerAll])
        #expect(shutdown.next(elapsedSeconds: 5.6, inFlight: 1, waiting: 0) == .cutAll)
        #expect(shutdown.next(elapsedSeconds: 6.1, inFlight: 1, waiting: 0) == .stop)
    }

    @Test("while a connection is suspended it never stops, however late it is")
    func neverWhileSuspended() {
        var shutdown = Shutdown(graceSeconds: 0)
        for second in 0..<100 {
            let step = shutdown.next(elapsedSeconds: Double(second), inFlight: 1, waiting: 1)
            #expect(step != .stop)
        }
    }
}
