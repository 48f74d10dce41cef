import Glibc

/// Creates connected pairs of stream sockets: `socketpair(2)`.
enum SocketPair {
    static func make() throws(ServerError) -> (Int32, Int32) {
        var ends: [Int32] = [-1, -1]
        // Sound: socketpair writes two descriptors, and the array has two elements.
        let result = unsafe ends.withUnsafeMutableBufferPointer { buffer in
            unsafe socketpair(
                AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0,
                buffer.baseAddress)
        }
        guard result == 0 else { throw .resourcesExhausted("file descriptor") }
        return (ends[0], ends[1])
    }
}
