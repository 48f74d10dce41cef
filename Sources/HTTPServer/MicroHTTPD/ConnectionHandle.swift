import CMicrohttpd
import Glibc
import Synchronization

/// A `struct MHD_Connection *`, for suspending and resuming the connection.
///
/// The library frees a connection only on its event loop's thread, and never while the connection
/// is suspended. So the pointer is valid inside a callback, and from a suspension until its
/// resumption. Each owner of a handle keeps, under a lock, the state that tells which of the two
/// applies.
@safe
struct ConnectionHandle: @unchecked Sendable {
    let pointer: OpaquePointer
    let eventLoop: EventLoop

    init(_ pointer: OpaquePointer, on eventLoop: EventLoop) {
        unsafe self.pointer = unsafe pointer
        self.eventLoop = eventLoop
    }

    /// `MHD_suspend_connection`. Must be called inside a callback, and not while suspended. Returns
    /// false, without suspending, if the server is closing: stopping the daemon with a suspended
    /// connection aborts the process.
    ///
    /// The count is incremented before the phase is read, and the shutdown reads the count after it
    /// has set the phase. So either this method sees the phase, or the shutdown sees the count.
    func suspend() -> Bool {
        let core = eventLoop.core
        core.counters.exchangesSuspended.add(1, ordering: .sequentiallyConsistent)
        guard core.phase < .closing else {
            core.counters.exchangesSuspended.subtract(1, ordering: .sequentiallyConsistent)
            return false
        }
        unsafe MHD_suspend_connection(pointer)
        return true
    }

    /// Limits what the kernel holds of a response for the client, `SO_SNDBUF`. Must be called
    /// inside a callback. Linux takes twice as much, for its own use.
    func limitSendBuffer(bytes: Int) {
        var size = Int32(clamping: bytes)
        // Sound: the length is that of the variable. The descriptor is open during a callback.
        _ = unsafe setsockopt(
            cmhd_socket(pointer), SOL_SOCKET, SO_SNDBUF, &size,
            socklen_t(MemoryLayout<Int32>.size))
    }

    /// `MHD_resume_connection`. Must be called while suspended, from any thread. The pointer is
    /// invalid afterwards. The library continues with the connection when it runs next.
    func resume() {
        unsafe MHD_resume_connection(pointer)
        eventLoop.connectionResumed()
        eventLoop.core.counters.exchangesSuspended.subtract(1, ordering: .sequentiallyConsistent)
    }
}
