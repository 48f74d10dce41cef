internal import Dispatch
internal import Glibc

/// The pipe's end that the signal handler writes to; -1 before there is a watcher.
///
/// Sound: set once, before the first handler is installed, and only read after that.
private nonisolated(unsafe) var signalPipe: Int32 = -1

/// Async-signal-safe: calls `write` once and preserves errno.
private func noteSignal(_ number: Int32) {
    let saved = errno
    var byte = UInt8(truncatingIfNeeded: number)
    // Sound: one byte of a local variable. When the pipe is full, a signal is pending already.
    _ = unsafe write(signalPipe, &byte, 1)
    errno = saved
}

/// The signals that the daemon acts on, as a stream instead of their default actions, for the rest
/// of the process's life. A write to a socket whose peer has gone, or past the limit on a file's
/// size, is an error from then on, and no signal.
///
/// Handlers write to a pipe. A dispatch source for the signals themselves loses one now and then:
/// it ignores the signal before it watches a descriptor for it, and one that arrives between is
/// gone.
final class SignalWatcher {
    enum Event: Sendable {
        case reload
        case stop
    }

    let events: AsyncStream<Event>
    private let source: any DispatchSourceRead

    init() {
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        var ends: [Int32] = [-1, -1]
        // Sound: room for both descriptors.
        guard unsafe pipe(&ends) == 0, ends.allSatisfy({ fcntl($0, F_SETFL, O_NONBLOCK) == 0 })
        else { preconditionFailure("no pipe for signals: \(errno)") }
        let (events, continuation) = AsyncStream.makeStream(of: Event.self)
        self.events = events
        let reader = ends[0]
        source = DispatchSource.makeReadSource(
            fileDescriptor: reader, queue: DispatchQueue(label: "signals"))
        source.setEventHandler {
            var byte: UInt8 = 0
            // Sound: one byte into a local variable.
            while unsafe read(reader, &byte, 1) == 1 {
                continuation.yield(Int32(byte) == SIGHUP ? .reload : .stop)
            }
        }
        source.resume()
        unsafe signalPipe = ends[1]
        for number in [SIGHUP, SIGTERM, SIGINT] { signal(number, noteSignal) }
    }
}
