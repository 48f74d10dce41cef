internal import CCurl
internal import Glibc

/// One request of a command to a daemon. Its body may be read from a file, and its response may be
/// written to one.
public struct FileExchange: Sendable {
    public enum Outcome: Equatable, Sendable {
        /// A status of 2xx. The body, unless it was written to the file.
        case done(body: [UInt8])
        /// Another status, and the beginning of the body, which says why.
        case refused(status: Int, body: [UInt8])
        /// There was no whole response, or the file could not be read or written.
        case failed(String)
    }

    private let url: String
    private let unixSocket: String?
    private let fields: [String]

    /// - Parameters:
    ///   - url: http or https.
    ///   - unixSocket: The path of a socket that is used in place of the URL's host.
    ///   - fields: Header fields, a line each.
    public init(url: String, unixSocket: String? = nil, fields: [String]) {
        self.url = url
        self.unixSocket = unixSocket
        self.fields = fields
    }

    /// GET: writes the body to the descriptor. Blocks until it ends.
    public func get(to output: Int32) -> Outcome {
        run(FileExchangeContext(input: nil, output: output), uploading: nil)
    }

    /// POST of `byteCount` bytes from the descriptor. Blocks until it ends.
    public func post(from input: Int32, byteCount: Int) -> Outcome {
        run(FileExchangeContext(input: input, output: nil), uploading: byteCount)
    }

    /// Any method; without a body, no body is sent. Blocks until the response has ended.
    public func send(_ method: String, _ body: [UInt8]? = nil) -> Outcome {
        run(FileExchangeContext(body: body ?? []), uploading: body?.count, method: method)
    }

    private func run(
        _ context: FileExchangeContext, uploading byteCount: Int?, method: String? = nil
    ) -> Outcome {
        guard var handle = EasyHandle() else { return .failed("libcurl can't be initialized") }
        handle.set(CURLOPT_URL, url)
        handle.set(CURLOPT_PROTOCOLS_STR, "http,https")
        if let unixSocket { handle.set(CURLOPT_UNIX_SOCKET_PATH, unixSocket) }
        handle.set(CURLOPT_USERAGENT, "lbfgsd")
        handle.set(CURLOPT_NOSIGNAL, true)
        handle.set(CURLOPT_CONNECTTIMEOUT_MS, 10_000)
        // Less than a byte a second for three minutes: nothing comes any more.
        handle.set(CURLOPT_LOW_SPEED_LIMIT, 1)
        handle.set(CURLOPT_LOW_SPEED_TIME, 180)
        if byteCount != nil { handle.set(CURLOPT_POST, true) }
        if let method { handle.set(CURLOPT_CUSTOMREQUEST, method) }
        handle.setFields(fields)
        let result = handle.exchange(byteCount, context)
        if let failure = context.failure { return .failed(failure) }
        guard result.code == CURLE_OK else {
            // A server may answer before it has read the whole body.
            guard result.status >= 400 else { return .failed(result.reason) }
            return .refused(status: result.status, body: context.collected)
        }
        return (200...299).contains(result.status)
            ? .done(body: context.collected)
            : .refused(status: result.status, body: context.collected)
    }
}

/// What the callbacks of an exchange use, on the thread that performs it.
final class FileExchangeContext {
    private let input: Int32?
    private let output: Int32?
    /// What is left of a body in memory.
    private var rest: ArraySlice<UInt8> = []
    private let collectedBytesMax: Int
    /// The body that is not written to a file.
    private(set) var collected: [UInt8] = []
    private(set) var failure: String?
    /// Reads the status of the response.
    var status: () -> Int = { 0 }

    init(input: Int32?, output: Int32?) {
        self.input = input
        self.output = output
        collectedBytesMax = 1 << 20
    }

    init(body: [UInt8]) {
        (input, output) = (nil, nil)
        rest = body[...]
        collectedBytesMax = 1 << 32
    }

    /// Fills the buffer with the next bytes of the request's body; nil after a failure.
    func read(into buffer: UnsafeMutableRawBufferPointer) -> Int? {
        guard let input else {
            let piece = rest.prefix(buffer.count)
            // Sound: at most the buffer's count.
            unsafe buffer.copyBytes(from: piece)
            rest = rest.dropFirst(piece.count)
            return piece.count
        }
        while true {
            // Sound: read(2) writes at most the buffer's count.
            let count = unsafe Glibc.read(input, buffer.baseAddress, buffer.count)
            if count >= 0 { return count }
            if errno == EINTR { continue }
            failure = "the file can't be read: \(unsafe String(cString: strerror(errno)))"
            return nil
        }
    }

    /// Takes bytes of the response's body. Returns whether to go on.
    func write(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let output, (200...299).contains(status()) else {
            let room = collectedBytesMax - collected.count
            // Sound: copied within the call.
            unsafe collected.append(contentsOf: bytes.prefix(room))
            return true
        }
        var written = 0
        while written < bytes.count {
            // Sound: the rest of the bytes.
            let count = unsafe Glibc.write(
                output, bytes.baseAddress.map { unsafe $0 + written }, bytes.count - written)
            if count < 0 {
                if errno == EINTR { continue }
                failure = "the file can't be written: \(unsafe String(cString: strerror(errno)))"
                return false
            }
            written += count
        }
        return true
    }
}

/// `CURLOPT_READFUNCTION`: a piece of the request's body.
func fileReadCallback(
    bytes: UnsafeMutablePointer<CChar>?, size: Int, count: Int, context: UnsafeMutableRawPointer?
) -> Int {
    guard let context = unsafe context, let bytes = unsafe bytes else { return ccurl_abort_upload }
    // Sound: the exchange keeps its context alive, and libcurl gives size * count bytes of room.
    let exchange = unsafe Unmanaged<FileExchangeContext>.fromOpaque(context).takeUnretainedValue()
    return unsafe exchange.read(
        into: UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
        ?? ccurl_abort_upload
}

/// `CURLOPT_WRITEFUNCTION`: a piece of the response's body.
func fileWriteCallback(
    bytes: UnsafeMutablePointer<CChar>?, size: Int, count: Int, context: UnsafeMutableRawPointer?
) -> Int {
    guard let context = unsafe context else { return ccurl_end_transfer }
    // Sound: as above.
    let exchange = unsafe Unmanaged<FileExchangeContext>.fromOpaque(context).takeUnretainedValue()
    let piece = unsafe UnsafeRawBufferPointer(start: bytes, count: size * count)
    return unsafe exchange.write(piece) ? size * count : ccurl_end_transfer
}
