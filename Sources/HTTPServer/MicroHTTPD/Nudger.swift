import CMicrohttpd
import Glibc

/// Wakes a thread of the library that sleeps over work.
///
/// libmicrohttpd 0.9 takes 128 events at a time from its epoll set, and when it got as many it asks
/// again, with the whole timeout, before it looks at those it has. If exactly 128 connections had
/// something to say nobody else will soon, and all of them wait until the timeout of an idle
/// connection. So whoever has a clock adds another event now and then.
struct Nudger {
    /// Events that the library takes at a time: with fewer connections it never sleeps over any.
    static let connectionsMin = 128

    private let descriptor: Int32

    /// nil when the system has no descriptors left, or the library no epoll set.
    @unsafe
    init?(daemon: OpaquePointer) {
        descriptor = unsafe cmhd_add_event(daemon)
        if descriptor < 0 { return nil }
    }

    func nudge() { cmhd_make_event(descriptor) }

    func close() { _ = Glibc.close(descriptor) }
}
