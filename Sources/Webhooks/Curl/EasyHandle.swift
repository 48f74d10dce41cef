internal import CCurl

/// A `CURL *` and the list of header fields that it refers to. Owns and frees both.
///
/// The first option that cannot be set is recorded, and `perform` then fails: a request must not be
/// made without one of its limits.
@safe
struct EasyHandle: ~Copyable {
    private let handle: UnsafeMutableRawPointer
    private var fields: UnsafeMutablePointer<curl_slist>?
    private var failure: CURLcode = CURLE_OK

    /// The result of `curl_global_init`, which is not thread-safe and is called once per process.
    private static let isLibraryReady = ccurl_global_init() == CURLE_OK

    /// `curl_easy_init`. Returns nil without memory, or if libcurl can't be initialized.
    init?() {
        guard Self.isLibraryReady, let handle = unsafe curl_easy_init() else { return nil }
        unsafe self.handle = unsafe handle
    }

    deinit {
        // Sound: nothing else has these pointers, and the handle is freed before the list that it
        // refers to.
        unsafe curl_easy_cleanup(handle)
        unsafe curl_slist_free_all(fields)
    }

    // Sound, for all setters: the handle is valid as long as this value, each option is set with
    // the type that libcurl documents, and libcurl copies strings.

    mutating func set(_ option: CURLoption, _ value: Int) {
        recordFailure(unsafe ccurl_set_long(handle, option, value))
    }

    mutating func set(_ option: CURLoption, _ value: Bool) { set(option, value ? 1 : 0) }

    mutating func set(_ option: CURLoption, _ value: String) {
        recordFailure(unsafe ccurl_set_string(handle, option, value))
    }

    /// Sets a string option to NULL, which also removes its default.
    mutating func clear(_ option: CURLoption) {
        recordFailure(unsafe ccurl_set_string(handle, option, nil))
    }

    /// Sets the request's header fields. Must be called once.
    mutating func setFields(_ lines: [String]) {
        for line in lines {
            // Sound: curl_slist_append returns the same list, extended, or NULL without memory and
            // leaves the list unchanged.
            guard let longer = unsafe curl_slist_append(fields, line) else {
                recordFailure(CURLE_OUT_OF_MEMORY)
                return
            }
            unsafe fields = unsafe longer
        }
        recordFailure(unsafe ccurl_set_list(handle, CURLOPT_HTTPHEADER, fields))
    }

    /// `curl_easy_reset`: removes all options. Connections stay, for the next request.
    mutating func reset() {
        // Sound: after the reset nothing refers to the list.
        unsafe curl_easy_reset(handle)
        unsafe curl_slist_free_all(fields)
        unsafe fields = nil
        failure = CURLE_OK
    }

    /// `curl_easy_perform`: blocks until the transfer has ended. Body and context are used during
    /// the call only.
    /// - Parameter isGet: Whether the request is a GET, without a body.
    mutating func perform(body: [UInt8], isGet: Bool = false, context: CurlTransfer) -> Result {
        // Sound: libcurl writes at most CURL_ERROR_SIZE bytes, including the NUL. Body, text and
        // context outlive the call, after which only numbers are read from the handle.
        var text = [CChar](repeating: 0, count: Int(CURL_ERROR_SIZE))
        var code = failure
        if code == CURLE_OK {
            unsafe body.withUnsafeBytes { body in
                unsafe text.withUnsafeMutableBufferPointer { text in
                    recordFailure(
                        unsafe ccurl_set_pointer(handle, CURLOPT_ERRORBUFFER, text.baseAddress))
                    recordFailure(
                        unsafe ccurl_set_size(handle, CURLOPT_POSTFIELDSIZE_LARGE, body.count))
                    // NULL would make libcurl read the body from standard input.
                    if isGet {
                        recordFailure(unsafe ccurl_set_long(handle, CURLOPT_HTTPGET, 1))
                    } else if let bytes = body.baseAddress {
                        recordFailure(unsafe ccurl_set_pointer(handle, CURLOPT_POSTFIELDS, bytes))
                    } else {
                        recordFailure(unsafe ccurl_set_string(handle, CURLOPT_COPYPOSTFIELDS, ""))
                    }
                    recordFailure(
                        unsafe ccurl_set_callbacks(
                            handle, headerCallback, bodyCallback, openSocketCallback,
                            progressCallback, Unmanaged.passUnretained(context).toOpaque()))
                    code = failure
                    if code == CURLE_OK {
                        code = withExtendedLifetime(context) { unsafe curl_easy_perform(handle) }
                    }
                    _ = unsafe ccurl_set_pointer(handle, CURLOPT_ERRORBUFFER, nil)
                }
            }
        }
        let message = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return Result(
            code: code,
            // Sound: curl_easy_strerror returns a NUL-terminated string for every number.
            reason: message.isEmpty
                ? unsafe String(cString: curl_easy_strerror(code))
                : String(decoding: message, as: UTF8.self),
            status: unsafe ccurl_response_code(handle),
            retryAfterSeconds: Int(unsafe ccurl_retry_after(handle)))
    }

    /// `curl_easy_perform` for an exchange of files. The context is used during the call only.
    mutating func exchange(_ byteCount: Int?, _ context: FileExchangeContext) -> Result {
        if let byteCount {
            recordFailure(unsafe ccurl_set_size(handle, CURLOPT_POSTFIELDSIZE_LARGE, byteCount))
        }
        // Sound: the context outlives the call, and the handle is there as long as its closure.
        recordFailure(
            unsafe ccurl_set_file_callbacks(
                handle, fileReadCallback, fileWriteCallback,
                Unmanaged.passUnretained(context).toOpaque()))
        let pointer = unsafe handle
        context.status = { unsafe ccurl_response_code(pointer) }
        defer { context.status = { 0 } }
        var code = failure
        if code == CURLE_OK {
            code = withExtendedLifetime(context) { unsafe curl_easy_perform(handle) }
        }
        // Sound: curl_easy_strerror returns a NUL-terminated string for every number.
        return Result(
            code: code, reason: unsafe String(cString: curl_easy_strerror(code)),
            status: unsafe ccurl_response_code(handle), retryAfterSeconds: 0)
    }

    struct Result {
        var code: CURLcode
        /// libcurl's description of the code.
        var reason: String
        /// 0 without a response.
        var status: Int
        /// 0 without a Retry-After field.
        var retryAfterSeconds: Int
    }

    private mutating func recordFailure(_ code: CURLcode) {
        if failure == CURLE_OK { failure = code }
    }
}
