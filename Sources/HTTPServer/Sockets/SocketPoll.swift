import Glibc

/// Waits for events on file descriptors: `poll(2)`.
enum SocketPoll {
    /// Linux's POLLRDHUP, which glibc declares only under _GNU_SOURCE.
    static let peerClosed: Int16 = 0x2000

    /// Fills in `revents` of each entry. On failure (interruption, no memory) it reports no events.
    static func wait(_ entries: inout [pollfd], milliseconds: Int32) {
        if entries.isEmpty, milliseconds == 0 { return }
        // Sound: the count is the array's, and poll writes only `revents`.
        let result = unsafe entries.withUnsafeMutableBufferPointer {
            unsafe poll($0.baseAddress, nfds_t($0.count), milliseconds)
        }
        if result < 0 { for index in entries.indices { entries[index].revents = 0 } }
    }
}
