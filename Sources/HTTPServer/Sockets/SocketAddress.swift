import Glibc

/// The IPv4, IPv6 or Unix address of a socket, as system calls fill it in.
struct SocketAddress: Sendable {
    private var storage = sockaddr_storage()
    private var length = socklen_t(MemoryLayout<sa_family_t>.size)

    /// The address of an unnamed socket.
    init() {}

    /// The address of a Unix socket; nil if the path is too long or has a NUL.
    init?(unixPath path: String) {
        let bytes = Array(path.utf8) + [0]
        let offset = MemoryLayout<sa_family_t>.size
        guard !path.utf8.contains(0), bytes.count > 1,
            offset + bytes.count <= MemoryLayout<sockaddr_un>.size
        else { return nil }
        storage.ss_family = sa_family_t(AF_UNIX)
        length = socklen_t(offset + bytes.count)
        // Sound: the path follows the family, and the guard keeps it within sockaddr_un, which is
        // smaller than the storage.
        unsafe withUnsafeMutableBytes(of: &storage) { buffer in
            unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[offset...]).copyBytes(from: bytes)
        }
    }

    /// Calls a function such as `accept` or `getsockname` that fills in the address, and returns
    /// its result.
    mutating func fill(
        by call: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32
    ) -> Int32 {
        length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        // Sound: the function writes at most `length` bytes, which is the size of the storage.
        return unsafe withUnsafeMutablePointer(to: &storage) { storage in
            unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe call($0, &length)
            }
        }
    }

    /// Passes the address and its length to a function that reads them.
    func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        // Sound: `length` bytes are within the storage.
        unsafe withUnsafePointer(to: storage) { storage in
            unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, length)
            }
        }
    }

    /// The numeric address without the port, or `"unix"`. An IPv4-mapped IPv6 address is written as
    /// IPv4, so that limits and logs know a client by one name.
    var host: String {
        switch family {
        case AF_INET:
            return Self.text(AF_INET, read(as: sockaddr_in.self).sin_addr)
        case AF_INET6:
            let text = Self.text(AF_INET6, read(as: sockaddr_in6.self).sin6_addr)
            let mapped = "::ffff:"
            return text.hasPrefix(mapped) && text.contains(".")
                ? String(text.dropFirst(mapped.count)) : text
        default:
            return "unix"
        }
    }

    /// The port, or 0 for a Unix socket.
    var port: Int {
        switch family {
        case AF_INET: Int(UInt16(bigEndian: read(as: sockaddr_in.self).sin_port))
        case AF_INET6: Int(UInt16(bigEndian: read(as: sockaddr_in6.self).sin6_port))
        default: 0
        }
    }

    private var family: Int32 { Int32(storage.ss_family) }

    private func read<Address>(as type: Address.Type) -> Address {
        precondition(MemoryLayout<Address>.size <= MemoryLayout<sockaddr_storage>.size)
        // Sound: the size is checked above, and socket addresses consist of plain integers.
        return unsafe withUnsafeBytes(of: storage) { unsafe $0.load(as: Address.self) }
    }

    private static func text<Address>(_ family: Int32, _ address: Address) -> String {
        // Sound: inet_ntop writes at most INET6_ADDRSTRLEN bytes, including the NUL.
        let capacity = Int(INET6_ADDRSTRLEN)
        return unsafe withUnsafePointer(to: address) { source in
            unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: capacity) { buffer in
                let text = unsafe inet_ntop(
                    family, source, buffer.baseAddress, socklen_t(buffer.count))
                return unsafe text.map { unsafe String(cString: $0) } ?? "unknown"
            }
        }
    }
}
