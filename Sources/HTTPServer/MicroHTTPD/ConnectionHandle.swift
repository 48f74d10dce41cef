import CMicrohttpd
import Synchronization

/// The library's connection, for the two calls that may come from another thread.
///
/// The library frees a connection only on the thread that serves it, and never while it is
/// suspended. So the pointer is good inside a callback, and from a suspension until the resumption
/// that ends it; each owner keeps, under a lock, the state that says which of the two holds.
@safe
struct ConnectionHandle: @unchecked Sendable {
    let pointer: OpaquePointer
    let thread: ServingThread

    init(_ pointer: OpaquePointer, on thread: ServingThread) {
        unsafe self.pointer = unsafe pointer
        self.thread = thread
    }

    /// `MHD_suspend_connection`. Only inside a callback, and never twice. Returns false, and does
    /// nothing, when the server is closing: stopping it with a suspended connection aborts the
    /// process.
    ///
    /// The count goes up before the phase is read, and the keeper reads the count after it has set
    /// the phase. So either the one sees that the server is closing, or the other that somebody
    /// waits.
    func suspend() -> Bool {
        let core = thread.core
        core.exchangesWaiting.add(1, ordering: .sequentiallyConsistent)
        guard core.phase < .closing else {
            core.exchangesWaiting.subtract(1, ordering: .sequentiallyConsistent)
            return false
        }
        unsafe MHD_suspend_connection(pointer)
        return true
    }

    /// `MHD_resume_connection`. Only while suspended; afterwards the pointer is the library's
    /// again. The library looks at it when it runs next.
    func resume() {
        unsafe MHD_resume_connection(pointer)
        thread.resumed()
        thread.core.exchangesWaiting.subtract(1, ordering: .sequentiallyConsistent)
    }
}
