internal import CCurl
internal import Glibc

// The functions that libcurl calls, all on the thread that called `curl_easy_perform`. They are at
// file scope, because a closure passed to C would inherit the isolation of the place where it is
// written. Their context is the transfer, which `EasyHandle.perform` keeps alive.

/// What happens during a request, told by libcurl's callbacks on the thread that performs it.
class CurlTransfer {
    /// A line of the header, valid during the call. Returns false to end the transfer.
    func receivedHeader(_ line: UnsafeRawBufferPointer) -> Bool { true }

    /// A piece of the body, valid during the call. Returns false to end the transfer.
    func receivedBody(_ piece: UnsafeRawBufferPointer) -> Bool { true }

    /// Whether a connection to the address may be made.
    func permits(_ address: IPAddress) -> Bool { true }

    func hasEnded() -> Bool { false }
}

/// `CURLOPT_HEADERFUNCTION`: a line of the header, including those of interim responses.
func headerCallback(
    bytes: UnsafeMutablePointer<CChar>?, size: Int, count: Int, context: UnsafeMutableRawPointer?
) -> Int {
    guard let context = unsafe context else { return ccurl_end_transfer }
    let transfer = unsafe Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
    let line = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
    return unsafe transfer.receivedHeader(line) ? size * count : ccurl_end_transfer
}

/// `CURLOPT_WRITEFUNCTION`: a piece of the body.
func bodyCallback(
    bytes: UnsafeMutablePointer<CChar>?, size: Int, count: Int, context: UnsafeMutableRawPointer?
) -> Int {
    guard let context = unsafe context else { return ccurl_end_transfer }
    let transfer = unsafe Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
    let piece = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
    return unsafe transfer.receivedBody(piece) ? size * count : ccurl_end_transfer
}

/// `CURLOPT_OPENSOCKETFUNCTION`: creates the socket for an address, called for each address that
/// libcurl tries. Without a socket it does not connect.
func openSocketCallback(
    context: UnsafeMutableRawPointer?, purpose: curlsocktype,
    address: UnsafeMutablePointer<curl_sockaddr>?
) -> curl_socket_t {
    guard let context = unsafe context, let address = unsafe address else {
        return ccurl_no_socket
    }
    let transfer = unsafe Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
    guard purpose == CURLSOCKTYPE_IPCXN, let target = unsafe ipAddress(address),
        transfer.permits(target)
    else { return ccurl_no_socket }
    let kind = unsafe address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue)
    return unsafe socket(address.pointee.family, kind, address.pointee.protocol)
}

/// `CURLOPT_XFERINFOFUNCTION`: called about once a second, and more often when bytes move.
func progressCallback(
    context: UnsafeMutableRawPointer?, downloadTotal: curl_off_t, downloaded: curl_off_t,
    uploadTotal: curl_off_t, uploaded: curl_off_t
) -> Int32 {
    guard let context = unsafe context else { return 1 }
    let transfer = unsafe Unmanaged<CurlTransfer>.fromOpaque(context).takeUnretainedValue()
    return transfer.hasEnded() ? 1 : 0
}

/// The address in the library's structure; nil if it is neither IPv4 nor IPv6.
private func ipAddress(_ address: UnsafeMutablePointer<curl_sockaddr>) -> IPAddress? {
    // Sound: `addr` is the last member and has `addrlen` bytes, possibly more than its declared
    // type, so the structure is not copied; each read is within those bytes.
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
