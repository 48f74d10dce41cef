import CMicrohttpd
import Glibc

/// The library, without a thread of its own: it serves the connections it is given, and owns their
/// sockets, whenever `run` is called. All calls but `wake` are the serving thread's.
///
/// It has no listening socket either: `MHD_quiesce_daemon` races with the library's thread for the
/// socket's place in the epoll set, and the loser aborts the process. So the keeper accepts.
@safe
struct Daemon: @unchecked Sendable {
    private let pointer: OpaquePointer
    private let epollDescriptor: Int32
    private let event: Int32

    /// `MHD_start_daemon`. The thread must outlive the daemon: callbacks are handed it unretained.
    init?(thread: ServingThread) {
        let configuration = thread.core.configuration
        // The callbacks expect a ServingThread as their context, and that is what they get.
        guard
            let pointer = unsafe cmhd_start(
                whenAccessed, whenRequestLineIsRead, whenCompleted, whenConnectionChanged,
                Unmanaged.passUnretained(thread).toOpaque(),
                // The real limit is the connection table's; this one must never be met.
                UInt32(clamping: configuration.connectionsMax + 64),
                UInt32(clamping: max(1, configuration.idleTimeoutSeconds)),
                // Half of it receives, and all of it is zeroed after each request: 64 KiB took a
                // tenth of a small one's time, and uploads were no faster by it.
                32 * 1024)
        else { return nil }
        unsafe self.pointer = unsafe pointer
        epollDescriptor = unsafe cmhd_epoll_descriptor(pointer)
        event = cmhd_add_event(epollDescriptor)
        if event < 0 {
            unsafe MHD_stop_daemon(pointer)
            return nil
        }
    }

    /// `MHD_run`: reads, writes and calls back, without waiting.
    func run() {
        _ = unsafe MHD_run(pointer)
    }

    /// Sleeps until a socket has something, `wake` is called, or a connection has been silent for
    /// too long. Returns at once when a connection can go on.
    ///
    /// Not in the library: 0.9.75 takes 128 events at a time, and when it got as many it would
    /// sleep again before it looks at them.
    func sleep() {
        var milliseconds: UInt64 = 0
        // The call fills the one number.
        let isLimited = unsafe MHD_get_timeout(pointer, &milliseconds) == .YES
        if isLimited && milliseconds == 0 { return }
        var watched = [pollfd(fd: epollDescriptor, events: Int16(POLLIN), revents: 0)]
        SocketPoll.wait(
            &watched, milliseconds: isLimited ? Int32(clamping: milliseconds) : -1)
    }

    /// Ends a sleep, also one that hasn't begun. From any thread.
    func wake() { cmhd_make_event(event) }

    /// `MHD_add_connection`. The daemon owns the socket from here on, also when it returns false.
    func add(_ socket: Int32, _ address: sockaddr_storage, _ length: socklen_t) -> Bool {
        // The library copies `length` bytes of the address, which is that of a sockaddr_storage.
        unsafe withUnsafePointer(to: address) { storage in
            unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe MHD_add_connection(pointer, socket, $0, length) == .YES
            }
        }
    }

    /// `MHD_stop_daemon`: closes what is still open. Must be called once, when no connection is
    /// suspended: one that were would abort the process.
    func stop() {
        unsafe MHD_stop_daemon(pointer)
        close(event)
    }
}
