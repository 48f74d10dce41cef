internal import Glibc

/// A socket's address, of whatever family, as the kernel reads and writes it.
struct SocketAddress {
    private var storage: sockaddr_storage
    private var length: socklen_t

    /// unix(7): a path, or `@` and a name without a file. nil when it is neither or too long.
    init?(unixPath path: String) {
        var bytes = Array(path.utf8)
        guard let first = bytes.first, bytes.count > 1,
            first == UInt8(ascii: "/") || first == UInt8(ascii: "@"), !bytes.contains(0)
        else { return nil }
        let offset = MemoryLayout<sa_family_t>.size
        // An abstract name is as long as it is; a path ends with a zero.
        if first == UInt8(ascii: "@") { bytes[0] = 0 } else { bytes.append(0) }
        guard offset + bytes.count <= MemoryLayout<sockaddr_un>.size else { return nil }
        storage = sockaddr_storage()
        storage.ss_family = sa_family_t(AF_UNIX)
        length = socklen_t(offset + bytes.count)
        // Sound: sun_path follows the family, and the guard above keeps the copy within
        // sockaddr_un, which is smaller than sockaddr_storage.
        unsafe withUnsafeMutableBytes(of: &storage) { buffer in
            unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[offset...]).copyBytes(from: bytes)
        }
    }

    /// The address that a socket is bound to; nil when the descriptor is no socket.
    init?(boundBy descriptor: Int32) {
        storage = sockaddr_storage()
        length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        // Sound: getsockname(2) writes at most `length` bytes, which is the buffer's size.
        let status = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, $0, &length)
            }
        }
        guard status == 0 else { return nil }
    }

    var family: Int32 { Int32(storage.ss_family) }

    /// Host and port, for the two internet families.
    var listenAddress: ListenAddress? {
        guard family == AF_INET || family == AF_INET6 else { return nil }
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        var port = [CChar](repeating: 0, count: Int(NI_MAXSERV))
        let status = unsafe withPointer { address, length in
            // Sound: getnameinfo(3) writes at most the counts it is given, zeros included.
            unsafe getnameinfo(
                address, length, &host, socklen_t(host.count), &port, socklen_t(port.count),
                Int32(NI_NUMERICHOST | NI_NUMERICSERV))
        }
        guard status == 0, let number = Int(SocketAddress.text(port)) else { return nil }
        return ListenAddress(host: SocketAddress.text(host), port: number)
    }

    /// The addresses that a name stands for on this machine, IPv6 in brackets.
    static func numericHosts(of host: String) -> [String] {
        var hints = unsafe addrinfo()
        unsafe hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard unsafe getaddrinfo(host, nil, &hints, &list) == 0 else { return [] }
        defer { unsafe freeaddrinfo(list) }
        var hosts: [String] = []
        var next = unsafe list
        while let entry = unsafe next {
            var text = [CChar](repeating: 0, count: Int(NI_MAXHOST))
            // Sound: getaddrinfo succeeded, so the entries and their addresses are valid until they
            // are freed; getnameinfo(3) writes at most the count it is given.
            if unsafe getnameinfo(
                entry.pointee.ai_addr, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil,
                0, Int32(NI_NUMERICHOST)) == 0
            {
                hosts.append(ListenAddress(host: SocketAddress.text(text), port: 0).bracketedHost)
            }
            unsafe next = entry.pointee.ai_next
        }
        return hosts
    }

    private static func text(_ characters: [CChar]) -> String {
        let bytes = characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(decoding: bytes, as: UTF8.self)
    }

    func withPointer<Result>(
        _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        // Sound: sockaddr_storage is as large and as aligned as any sockaddr, and the pointer
        // doesn't leave the closure.
        unsafe withUnsafePointer(to: storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, length)
            }
        }
    }
}
