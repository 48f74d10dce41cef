import CMicrohttpd
import Glibc

/// A `struct MHD_Daemon *` without a thread and without a listening socket. It owns the sockets of
/// the connections that are added to it, and serves them whenever `run` is called. All methods
/// except `wake` must be called on the event loop's thread.
@safe
struct Daemon: @unchecked Sendable {
    private let pointer: OpaquePointer
    private let epollDescriptor: Int32
    private let wakeupEvent: Int32

    /// `MHD_OPTION_CONNECTION_MEMORY_LIMIT`. The library receives into half of it and clears all of
    /// it after each request. 64 KiB took a tenth of a small request's time and did not make
    /// uploads faster.
    private static let connectionMemoryBytes = 32 * 1024

    /// `MHD_start_daemon`. The callbacks receive the event loop unretained, so it must outlive the
    /// daemon.
    init?(eventLoop: EventLoop) {
        ErrorPages.replace()
        let configuration = eventLoop.core.configuration
        // Sound: the callbacks expect an EventLoop as their context.
        guard
            let pointer = unsafe cmhd_start(
                accessCallback, requestLineCallback, requestCompletedCallback,
                connectionChangedCallback, Unmanaged.passUnretained(eventLoop).toOpaque(),
                // The connection table enforces the limit; the library's must never be reached.
                UInt32(clamping: configuration.connectionsMax + 64),
                UInt32(clamping: max(1, configuration.idleTimeoutSeconds)),
                Self.connectionMemoryBytes)
        else { return nil }
        unsafe self.pointer = unsafe pointer
        epollDescriptor = unsafe cmhd_epoll_descriptor(pointer)
        wakeupEvent = cmhd_add_event(epollDescriptor)
        if wakeupEvent < 0 {
            unsafe MHD_stop_daemon(pointer)
            return nil
        }
    }

    /// `MHD_run`: reads, writes and calls back, without blocking.
    func run() {
        _ = unsafe MHD_run(pointer)
    }

    /// Blocks until a socket is ready, `wake` is called, or a connection's idle timeout expires.
    /// Returns at once if a connection can proceed.
    ///
    /// The library is not used for waiting: version 0.9.75 takes 128 events at a time, and after it
    /// got that many it would block before it handles them.
    func waitForEvents() {
        var milliseconds: UInt64 = 0
        // Sound: MHD_get_timeout fills in one number.
        let isLimited = unsafe MHD_get_timeout(pointer, &milliseconds) == .YES
        if isLimited && milliseconds == 0 { return }
        var entries = [pollfd(fd: epollDescriptor, events: Int16(POLLIN), revents: 0)]
        SocketPoll.wait(
            &entries, milliseconds: isLimited ? Int32(clamping: milliseconds) : -1)
    }

    /// Ends `waitForEvents`, or makes its next call return at once. May be called from any thread.
    func wake() { cmhd_signal_event(wakeupEvent) }

    /// `MHD_add_connection`. The daemon takes ownership of the socket, even if it returns false.
    func add(_ socket: Int32, from address: SocketAddress) -> Bool {
        // Sound: the library copies the address.
        unsafe address.withPointer { unsafe MHD_add_connection(pointer, socket, $0, $1) == .YES }
    }

    /// `MHD_stop_daemon`: closes the open connections. Must be called once. If a connection were
    /// suspended, it would abort the process.
    func stop() {
        unsafe MHD_stop_daemon(pointer)
        close(wakeupEvent)
    }
}
