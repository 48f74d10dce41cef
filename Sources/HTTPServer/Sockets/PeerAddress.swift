import Glibc

/// Socket addresses as text. The family says which of the address types the storage holds.
enum PeerAddress {
    /// The numeric address without its port, or `"unix"`. An IPv4 client of an IPv6 socket appears
    /// as what it is, so that limits and logs know one name for it.
    static func text(_ storage: sockaddr_storage) -> String {
        switch family(storage) {
        case AF_INET:
            return text(AF_INET, read(storage, as: sockaddr_in.self).sin_addr)
        case AF_INET6:
            let text = text(AF_INET6, read(storage, as: sockaddr_in6.self).sin6_addr)
            let mapped = "::ffff:"
            return text.hasPrefix(mapped) && text.contains(".")
                ? String(text.dropFirst(mapped.count)) : text
        default:
            return "unix"
        }
    }

    static func port(_ storage: sockaddr_storage) -> Int {
        switch family(storage) {
        case AF_INET: Int(UInt16(bigEndian: read(storage, as: sockaddr_in.self).sin_port))
        case AF_INET6: Int(UInt16(bigEndian: read(storage, as: sockaddr_in6.self).sin6_port))
        default: 0
        }
    }

    /// By its place, which is the first in every socket address: in which C module the member is
    /// declared depends on the order in which modules were built.
    private static func family(_ storage: sockaddr_storage) -> Int32 {
        Int32(read(storage, as: sa_family_t.self))
    }

    private static func read<Address>(_ storage: sockaddr_storage, as type: Address.Type) -> Address
    {
        precondition(MemoryLayout<Address>.size <= MemoryLayout<sockaddr_storage>.size)
        // Every socket address fits in the storage and is made of plain integers.
        return unsafe withUnsafeBytes(of: storage) { unsafe $0.load(as: Address.self) }
    }

    private static func text<Address>(_ family: Int32, _ address: Address) -> String {
        // inet_ntop writes at most INET6_ADDRSTRLEN bytes, the NUL among them.
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
