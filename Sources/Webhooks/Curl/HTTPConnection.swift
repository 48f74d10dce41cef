internal import CCurl

/// Requests to one server, one after the other on a connection that stays open. Blocking, for a
/// thread of its own.
///
/// Unlike a webhook's target, the server is one that the operator has named: any address is
/// allowed. Proxies are not used and redirects are not followed.
public final class HTTPConnection {
    public struct Answer: Sendable {
        public var status: Int
        public var body: [UInt8]
    }

    /// Why there is no answer.
    public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
        public var description: String
    }

    private let url: String
    private let fields: [String]
    private let userAgent: String
    private let certificateAuthoritiesPath: String?
    private var handle: EasyHandle?

    private static let connectMilliseconds = 5000

    /// - Parameters:
    ///   - url: `http://` or `https://`, a host and perhaps a port, without a path.
    ///   - token: A bearer token.
    ///   - certificateAuthoritiesPath: A PEM file to trust instead of the system's.
    public init(
        to url: String, token: String?, userAgent: String,
        certificateAuthoritiesPath: String? = nil
    ) {
        self.url = url
        self.userAgent = userAgent
        self.certificateAuthoritiesPath = certificateAuthoritiesPath
        fields = token.map { ["Authorization: Bearer \($0)"] } ?? []
        handle = EasyHandle()
    }

    /// Sends a request and returns its answer, whatever its status.
    /// - Parameters:
    ///   - body: JSON, for POST; nil for GET.
    ///   - timeoutSeconds: For all of it.
    ///   - bytesMax: The longest body of an answer that is accepted.
    public func send(
        _ path: String, body: [UInt8]? = nil, fields more: [String] = [], timeoutSeconds: Double,
        bytesMax: Int
    ) throws(Failure) -> Answer {
        // After a failure there is none: the connection may be in any state.
        if handle == nil { handle = EasyHandle() }
        guard var handle = handle.take() else {
            throw Failure(description: "libcurl can't be initialized")
        }
        handle.reset()
        handle.set(CURLOPT_URL, url + path)
        handle.set(CURLOPT_PROTOCOLS_STR, "http,https")
        handle.set(CURLOPT_FOLLOWLOCATION, false)
        handle.set(CURLOPT_PROXY, "")
        handle.set(CURLOPT_NOPROXY, "*")
        handle.set(CURLOPT_HTTP_VERSION, ccurl_http_1_1)
        handle.set(CURLOPT_USERAGENT, userAgent)
        handle.set(CURLOPT_SSL_VERIFYPEER, true)
        handle.set(CURLOPT_SSL_VERIFYHOST, 2)
        handle.set(CURLOPT_SSLVERSION, ccurl_tls_1_2_or_newer)
        handle.set(CURLOPT_TCP_NODELAY, true)
        handle.set(CURLOPT_NOSIGNAL, true)
        handle.set(CURLOPT_CONNECTTIMEOUT_MS, Self.connectMilliseconds)
        handle.set(CURLOPT_TIMEOUT_MS, max(1, Int(timeoutSeconds * 1000)))
        if let certificateAuthoritiesPath {
            handle.set(CURLOPT_CAINFO, certificateAuthoritiesPath)
            handle.clear(CURLOPT_CAPATH)
        }
        handle.setFields(
            fields + more + (body == nil ? [] : ["Content-Type: application/json", "Expect:"]))
        let transfer = CollectedAnswer(bytesMax: bytesMax)
        let result: EasyHandle.Result
        if let body {
            handle.set(CURLOPT_POST, true)
            result = handle.perform(body: body, context: transfer)
        } else {
            result = handle.perform(body: [], isGet: true, context: transfer)
        }
        guard result.code == CURLE_OK else {
            // The next request begins with a connection of its own.
            throw Failure(
                description: transfer.isTooLong ? "the answer is too long" : result.reason)
        }
        self.handle = consume handle
        return Answer(status: result.status, body: transfer.body)
    }
}

private final class CollectedAnswer: CurlTransfer {
    private(set) var body: [UInt8] = []
    private(set) var isTooLong = false
    private let bytesMax: Int

    init(bytesMax: Int) { self.bytesMax = bytesMax }

    override func receivedBody(_ piece: UnsafeRawBufferPointer) -> Bool {
        guard body.count + piece.count <= bytesMax else {
            isTooLong = true
            return false
        }
        unsafe body.append(contentsOf: piece)
        return true
    }
}
