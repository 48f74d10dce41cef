internal import CCurl

/// One request and its answer, on one thread.
final class Transfer {
    private let url: WebhookURL
    private let delivery: WebhookDelivery
    private let configuration: WebhookSender.Configuration
    let isCancelled: @Sendable () -> Bool

    private var headerBytes = 0
    private var bodyBytes = 0
    /// The last address that wasn't allowed.
    private var refused: (address: IPAddress, range: String)?
    private var hasPermitted = false

    init(
        _ url: WebhookURL, _ delivery: WebhookDelivery,
        _ configuration: WebhookSender.Configuration, isCancelled: @escaping @Sendable () -> Bool
    ) {
        self.url = url
        self.delivery = delivery
        self.configuration = configuration
        self.isCancelled = isCancelled
    }

    /// Blocks until there is an outcome, for the total timeout at most.
    func run() -> WebhookOutcome {
        guard var handle = EasyHandle() else {
            return .failed(.transport("libcurl can't be used"))
        }
        describeRequest(&handle)
        setLimits(&handle)
        let result = handle.perform(body: delivery.body, context: self)
        return outcome(of: result)
    }

    private func describeRequest(_ handle: inout EasyHandle) {
        // Signed now: receivers refuse what was signed minutes ago.
        let signature = WebhookSignature(
            id: delivery.id, timestampSeconds: configuration.nowSeconds(), body: delivery.body,
            secrets: delivery.secrets)
        handle.set(CURLOPT_URL, url.text)
        handle.set(CURLOPT_PATH_AS_IS, true)
        handle.set(CURLOPT_POST, true)
        handle.set(CURLOPT_USERAGENT, configuration.userAgent)
        // Without `Expect:` libcurl would ask before it sends a long body, and wait a second.
        handle.setFields(
            ["Content-Type: application/json", "Expect:"]
                + signature.headerFields.map { "\($0.name): \($0.value)" })
    }

    private func setLimits(_ handle: inout EasyHandle) {
        // Where: to the URL itself, whatever environment and answers say.
        handle.set(CURLOPT_PROTOCOLS_STR, url.scheme.rawValue)
        handle.set(CURLOPT_FOLLOWLOCATION, false)
        handle.set(CURLOPT_DISALLOW_USERNAME_IN_URL, true)
        handle.set(CURLOPT_PROXY, "")
        handle.set(CURLOPT_NOPROXY, "*")
        // How: a connection of its own, so that each has its address checked.
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
        // How long. Without signals, names are looked up on a thread that a timeout leaves behind
        // (it ends with the system's own limit) instead of waiting for it.
        handle.set(CURLOPT_NOSIGNAL, true)
        handle.set(CURLOPT_QUICK_EXIT, true)
        handle.set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(configuration.connectTimeoutSeconds))
        handle.set(CURLOPT_TIMEOUT_MS, milliseconds(configuration.totalTimeoutSeconds))
    }

    /// 0 would mean libcurl's default, which is much longer.
    private func milliseconds(_ seconds: Double) -> Int {
        max(1, Int(min(seconds, 3600) * 1000))
    }

    private func outcome(of result: EasyHandle.Result) -> WebhookOutcome {
        let bytesMax = configuration.responseBytesMax
        switch result.code {
        case CURLE_OK,
            CURLE_WRITE_ERROR where bodyBytes > bytesMax:
            if (200...299).contains(result.status) { return .delivered(status: result.status) }
            return .refused(
                status: result.status,
                retryAfterSeconds: result.retryAfterSeconds > 0 ? result.retryAfterSeconds : nil)
        case CURLE_WRITE_ERROR where headerBytes > bytesMax:
            return .failed(.transport("the answer's header fields are too long"))
        case CURLE_ABORTED_BY_CALLBACK:
            return .failed(.cancelled)
        case CURLE_OPERATION_TIMEDOUT:
            return .failed(.timedOut)
        case CURLE_COULDNT_CONNECT:
            guard let refused, !hasPermitted else { return .failed(.transport(result.reason)) }
            return .failed(
                .addressNotAllowed(address: "\(refused.address)", range: refused.range))
        default:
            return .failed(.transport(result.reason))
        }
    }
}

// MARK: - What the library asks

extension Transfer {
    /// Whether to go on.
    func headerContinues(byteCount: Int) -> Bool {
        headerBytes += byteCount
        return headerBytes <= configuration.responseBytesMax
    }

    /// Whether to go on. The body is not kept.
    func bodyContinues(byteCount: Int) -> Bool {
        bodyBytes += byteCount
        return bodyBytes <= configuration.responseBytesMax
    }

    /// Whether the address may be connected to. It is the one that was looked up for this very
    /// connection, so that a name that changes its address gains nothing.
    func permits(_ address: IPAddress) -> Bool {
        guard let range = configuration.targets.refusal(of: address) else {
            hasPermitted = true
            return true
        }
        refused = (address.unwrapped, range)
        return false
    }
}
