internal import CCurl
internal import Glibc

// The functions that the library calls, all on the thread that is in `curl_easy_perform`. They
// stand at file scope, because a closure passed to C takes on the isolation of the place where it
// is written. Their context is the transfer, which that call keeps alive.

/// `CURLOPT_HEADERFUNCTION`: a line of the header, also of interim answers.
func whenHeaderArrives(
    bytes: UnsafeMutablePointer<CChar>?, size: Int, count: Int, context: UnsafeMutableRawPointer?
) -> Int {
    guard let context = unsafe context else { return ccurl_end_transfer }
    let transfer = unsafe Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
    return transfer.headerContinues(byteCount: size * count) ? size * count : ccurl_end_transfer
}

/// `CURLOPT_WRITEFUNCTION`: a piece of the body.
func whenBodyArrives(
    bytes: UnsafeMutablePointer<CChar>?, size: Int, count: Int, context: UnsafeMutableRawPointer?
) -> Int {
    guard let context = unsafe context else { return ccurl_end_transfer }
    let transfer = unsafe Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
    return transfer.bodyContinues(byteCount: size * count) ? size * count : ccurl_end_transfer
}

/// `CURLOPT_OPENSOCKETFUNCTION`: asks for a socket for the address that will be connected to, once
/// for each address that is tried. No socket, no connection.
func whenSocketIsWanted(
    context: UnsafeMutableRawPointer?, purpose: curlsocktype,
    address: UnsafeMutablePointer<curl_sockaddr>?
) -> curl_socket_t {
    guard let context = unsafe context, let address = unsafe address else {
        return ccurl_no_socket
    }
    let transfer = unsafe Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
    guard purpose == CURLSOCKTYPE_IPCXN, let target = unsafe ipAddress(address),
        transfer.permits(target)
    else { return ccurl_no_socket }
    let kind = unsafe address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue)
    return unsafe socket(address.pointee.family, kind, address.pointee.protocol)
}

/// `CURLOPT_XFERINFOFUNCTION`: called about once a second, and more often when bytes move.
func whenTimePasses(
    context: UnsafeMutableRawPointer?, downloadTotal: curl_off_t, downloaded: curl_off_t,
    uploadTotal: curl_off_t, uploaded: curl_off_t
) -> Int32 {
    guard let context = unsafe context else { return 1 }
    let transfer = unsafe Unmanaged<Transfer>.fromOpaque(context).takeUnretainedValue()
    return transfer.isCancelled() ? 1 : 0
}

/// The address in the library's structure; nil if it is neither IPv4 nor IPv6.
private func ipAddress(_ address: UnsafeMutablePointer<curl_sockaddr>) -> IPAddress? {
    // Sound: `addrlen` says how many bytes stand at `addr`, which ends the structure and may be
    // longer than its declared type; each read is within them. So the structure isn't copied.
    guard let offset = MemoryLayout<curl_sockaddr>.offset(of: \.addr) else { return nil }
    let bytes = unsafe UnsafeRawPointer(address) + offset
    let length = unsafe Int(address.pointee.addrlen)
    switch unsafe address.pointee.family {
    case AF_INET where length >= MemoryLayout<sockaddr_in>.size:
        let read = unsafe bytes.loadUnaligned(as: sockaddr_in.self)
        return .v4(UInt32(bigEndian: read.sin_addr.s_addr))
    case AF_INET6 where length >= MemoryLayout<sockaddr_in6>.size:
        let read = unsafe bytes.loadUnaligned(as: sockaddr_in6.self)
        return .v6(
            unsafe withUnsafeBytes(of: read.sin6_addr) {
                unsafe $0.reduce(0) { $0 << 8 | UInt128($1) }
            })
    default:
        return nil
    }
}
