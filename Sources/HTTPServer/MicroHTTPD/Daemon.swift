import CMicrohttpd
import Glibc

/// One thread of the library. It serves the connections it is given and owns their sockets.
///
/// It has no listening socket of its own: `MHD_quiesce_daemon` races with the library's thread for
/// the socket's place in the epoll set, and the loser aborts the process. So the keeper accepts.
@safe
struct Daemon: @unchecked Sendable {
    private let pointer: OpaquePointer
    private let nudger: Nudger?

    /// `MHD_start_daemon`. The core must outlive the daemon: callbacks are handed it unretained.
    init?(core: ServerCore) {
        let configuration = core.configuration
        // The callbacks expect a ServerCore as their context, and that is what they get.
        guard
            let pointer = unsafe cmhd_start(
                whenAccessed, whenRequestLineIsRead, whenCompleted, whenConnectionChanged,
                Unmanaged.passUnretained(core).toOpaque(),
                // The real limit is the connection table's; this one must never be met.
                UInt32(clamping: configuration.connectionsMax + 64),
                UInt32(clamping: max(1, configuration.idleTimeoutSeconds)),
                // Half of it receives. 32 KiB in all halves the speed of uploads; 1 MiB makes
                // waking ten thousand connections thirty times slower.
                64 * 1024)
        else { return nil }
        unsafe self.pointer = unsafe pointer
        nudger = unsafe Nudger(daemon: pointer)
    }

    /// Ends a sleep of its thread.
    func nudge() { nudger?.nudge() }

    /// `MHD_add_connection`. The daemon owns the socket from here on, also when it returns false.
    func add(_ socket: Int32, _ address: sockaddr_storage, _ length: socklen_t) -> Bool {
        // The library copies `length` bytes of the address, which is that of a sockaddr_storage.
        unsafe withUnsafePointer(to: address) { storage in
            unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe MHD_add_connection(pointer, socket, $0, length) == .YES
            }
        }
    }

    /// `MHD_stop_daemon`: joins its thread and closes what is still open. Must be called once, when
    /// no connection is suspended: one that were would abort the process.
    func stop() {
        unsafe MHD_stop_daemon(pointer)
        nudger?.close()
    }
}
