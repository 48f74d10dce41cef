internal import Dispatch
internal import Glibc

/// The signals that the daemon acts on, as a stream instead of their default actions, as long as
/// this is alive. A write to a socket whose peer has gone, or past the limit on a file's size, is
/// an error from then on, and no signal.
final class SignalWatcher {
    enum Event: Sendable {
        case reload
        case stop
    }

    let events: AsyncStream<Event>
    private let sources: [any DispatchSourceSignal]

    init() {
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        let (events, continuation) = AsyncStream.makeStream(of: Event.self)
        let queue = DispatchQueue(label: "signals")
        self.events = events
        sources = [(SIGHUP, Event.reload), (SIGTERM, .stop), (SIGINT, .stop)].map { number, event in
            // The default action would end the process before the source hears of it.
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler { continuation.yield(event) }
            source.resume()
            return source
        }
    }
}
