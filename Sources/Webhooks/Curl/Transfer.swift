internal import CCurl

/// One attempt to send a webhook: a request and its response, on one thread.
final class Transfer: CurlTransfer {
    private let url: WebhookURL
    private let delivery: WebhookDelivery
    private let configuration: WebhookSender.Configuration
    private let isCancelled: @Sendable () -> Bool

    private var headerBytes = 0
    private var bodyBytes = 0
    /// The last address that the policy forbade.
    private var forbidden: (address: IPAddress, range: String)?
    private var hasPermittedAddress = false

    init(
        _ url: WebhookURL, _ delivery: WebhookDelivery,
        _ configuration: WebhookSender.Configuration, isCancelled: @escaping @Sendable () -> Bool
    ) {
        self.url = url
        self.delivery = delivery
        self.configuration = configuration
        self.isCancelled = isCancelled
    }

    /// Blocks until there is an outcome, at most for the total timeout.
    func run() -> WebhookOutcome {
        guard var handle = EasyHandle() else {
            return .failed(.transport("libcurl can't be initialized"))
        }
        setRequest(&handle)
        setLimits(&handle)
        let result = handle.perform(body: delivery.body, context: self)
        return outcome(of: result)
    }

    private func setRequest(_ handle: inout EasyHandle) {
        // Signed for each attempt: receivers reject signatures that are minutes old.
        let signature = WebhookSignature(
            id: delivery.id, timestampSeconds: configuration.nowSeconds(), body: delivery.body,
            secrets: delivery.secrets)
        handle.set(CURLOPT_URL, url.text)
        handle.set(CURLOPT_PATH_AS_IS, true)
        handle.set(CURLOPT_POST, true)
        handle.set(CURLOPT_USERAGENT, configuration.userAgent)
        // The empty `Expect:` keeps libcurl from waiting up to a second for 100 Continue before it
        // sends a long body.
        handle.setFields(
            ["Content-Type: application/json", "Expect:"]
                + signature.headerFields.map { "\($0.name): \($0.value)" })
    }

    private func setLimits(_ handle: inout EasyHandle) {
        // Only this URL is contacted, whatever the environment and responses say.
        handle.set(CURLOPT_PROTOCOLS_STR, url.scheme.rawValue)
        handle.set(CURLOPT_FOLLOWLOCATION, false)
        handle.set(CURLOPT_DISALLOW_USERNAME_IN_URL, true)
        handle.set(CURLOPT_PROXY, "")
        handle.set(CURLOPT_NOPROXY, "*")
        // Each attempt has a new connection, so that its address is checked.
        handle.set(CURLOPT_HTTP_VERSION, ccurl_http_1_1)
        handle.set(CURLOPT_FRESH_CONNECT, true)
        handle.set(CURLOPT_FORBID_REUSE, true)
        handle.set(CURLOPT_SSL_VERIFYPEER, true)
        handle.set(CURLOPT_SSL_VERIFYHOST, 2)
        handle.set(CURLOPT_SSLVERSION, ccurl_tls_1_2_or_newer)
        if let path = configuration.certificateAuthoritiesPath {
            handle.set(CURLOPT_CAINFO, path)
            handle.clear(CURLOPT_CAPATH)
        }
        // Without signals, libcurl resolves names on a thread. With QUICK_EXIT a timeout does not
        // wait for that thread, which ends at the resolver's own timeout.
        handle.set(CURLOPT_NOSIGNAL, true)
        handle.set(CURLOPT_QUICK_EXIT, true)
        handle.set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(configuration.connectTimeoutSeconds))
        handle.set(CURLOPT_TIMEOUT_MS, milliseconds(configuration.totalTimeoutSeconds))
    }

    /// At least 1, because 0 selects libcurl's default, which is much longer.
    private func milliseconds(_ seconds: Double) -> Int {
        max(1, Int(min(seconds, 3600) * 1000))
    }

    private func outcome(of result: EasyHandle.Result) -> WebhookOutcome {
        let bytesMax = configuration.responseBytesMax
        switch result.code {
        case CURLE_OK,
            CURLE_WRITE_ERROR where bodyBytes > bytesMax:
            if (200...299).contains(result.status) { return .delivered(status: result.status) }
            return .rejected(
                status: result.status,
                retryAfterSeconds: result.retryAfterSeconds > 0 ? result.retryAfterSeconds : nil)
        case CURLE_WRITE_ERROR where headerBytes > bytesMax:
            return .failed(.transport("the response's header fields are too long"))
        case CURLE_ABORTED_BY_CALLBACK:
            return .failed(.cancelled)
        case CURLE_OPERATION_TIMEDOUT:
            return .failed(.timedOut)
        case CURLE_COULDNT_CONNECT:
            guard let forbidden, !hasPermittedAddress else {
                return .failed(.transport(result.reason))
            }
            return .failed(
                .addressNotAllowed(address: "\(forbidden.address)", range: forbidden.range))
        default:
            return .failed(.transport(result.reason))
        }
    }

    // MARK: Called by libcurl's callbacks

    /// Counts header bytes.
    override func receivedHeader(_ line: UnsafeRawBufferPointer) -> Bool {
        headerBytes += line.count
        return headerBytes <= configuration.responseBytesMax
    }

    /// Counts body bytes, which are not kept.
    override func receivedBody(_ piece: UnsafeRawBufferPointer) -> Bool {
        bodyBytes += piece.count
        return bodyBytes <= configuration.responseBytesMax
    }

    /// Whether the policy allows a connection to the address. It is the address that libcurl is
    /// about to connect to, so a name that resolves differently at each look-up gains nothing.
    override func permits(_ address: IPAddress) -> Bool {
        guard let range = configuration.targets.forbiddenRange(of: address) else {
            hasPermittedAddress = true
            return true
        }
        forbidden = (address.unwrapped, range)
        return false
    }

    override func hasEnded() -> Bool { isCancelled() }
}
