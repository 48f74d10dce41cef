internal import CCurl

/// One `CURL *`, and the list of header fields that it refers to. Frees both.
///
/// Options that fail are remembered: a request must not be made without one of its limits.
@safe
struct EasyHandle: ~Copyable {
    private let handle: UnsafeMutableRawPointer
    private var fields: UnsafeMutablePointer<curl_slist>?
    private var failure: CURLcode = CURLE_OK

    /// `curl_global_init` once a process, before the first handle: it isn't safe on two threads.
    private static let isLibraryReady = ccurl_global_init() == CURLE_OK

    /// `curl_easy_init`; nil if there is no memory, or the library can't be used.
    init?() {
        guard Self.isLibraryReady, let handle = unsafe curl_easy_init() else { return nil }
        unsafe self.handle = unsafe handle
    }

    deinit {
        // Sound: nothing else has these pointers, and the handle goes before what it refers to.
        unsafe curl_easy_cleanup(handle)
        unsafe curl_slist_free_all(fields)
    }

    // Sound, for all of these: the handle is valid as long as this value, and each option is set
    // with the type that libcurl documents for it; strings are copied by the library.

    mutating func set(_ option: CURLoption, _ value: Int) {
        note(unsafe ccurl_set_long(handle, option, value))
    }

    mutating func set(_ option: CURLoption, _ value: Bool) { set(option, value ? 1 : 0) }

    mutating func set(_ option: CURLoption, _ value: String) {
        note(unsafe ccurl_set_string(handle, option, value))
    }

    /// For an option whose value is a string: without it, and without its default.
    mutating func clear(_ option: CURLoption) {
        note(unsafe ccurl_set_string(handle, option, nil))
    }

    /// Header fields of the request; call it once.
    mutating func setFields(_ lines: [String]) {
        for line in lines {
            // Sound: the list grows at its end, and nil, for want of memory, leaves it as it was.
            guard let longer = unsafe curl_slist_append(fields, line) else {
                note(CURLE_OUT_OF_MEMORY)
                return
            }
            unsafe fields = unsafe longer
        }
        note(unsafe ccurl_set_list(handle, CURLOPT_HTTPHEADER, fields))
    }

    /// `curl_easy_perform`: blocks until the transfer has ended. The body is read, and the context
    /// is handed to the callbacks, during the call only.
    mutating func perform(body: [UInt8], context: Transfer) -> Result {
        // Sound: libcurl writes at most CURL_ERROR_SIZE bytes, the NUL among them, and body, text
        // and context outlive the call, after which the handle is used for its numbers only.
        var text = [CChar](repeating: 0, count: Int(CURL_ERROR_SIZE))
        var code = failure
        if code == CURLE_OK {
            unsafe body.withUnsafeBytes { body in
                unsafe text.withUnsafeMutableBufferPointer { text in
                    note(unsafe ccurl_set_pointer(handle, CURLOPT_ERRORBUFFER, text.baseAddress))
                    note(unsafe ccurl_set_size(handle, CURLOPT_POSTFIELDSIZE_LARGE, body.count))
                    // A null pointer would mean that the body is to be read from standard input.
                    if let bytes = body.baseAddress {
                        note(unsafe ccurl_set_pointer(handle, CURLOPT_POSTFIELDS, bytes))
                    } else {
                        note(unsafe ccurl_set_string(handle, CURLOPT_COPYPOSTFIELDS, ""))
                    }
                    note(
                        unsafe ccurl_set_callbacks(
                            handle, whenHeaderArrives, whenBodyArrives, whenSocketIsWanted,
                            whenTimePasses, Unmanaged.passUnretained(context).toOpaque()))
                    code = failure
                    if code == CURLE_OK {
                        code = withExtendedLifetime(context) { unsafe curl_easy_perform(handle) }
                    }
                    _ = unsafe ccurl_set_pointer(handle, CURLOPT_ERRORBUFFER, nil)
                }
            }
        }
        let said = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return Result(
            code: code,
            // Sound: curl_easy_strerror answers every number with a string that ends.
            reason: said.isEmpty
                ? unsafe String(cString: curl_easy_strerror(code))
                : String(decoding: said, as: UTF8.self),
            status: unsafe ccurl_response_code(handle),
            retryAfterSeconds: Int(unsafe ccurl_retry_after(handle)))
    }

    struct Result {
        var code: CURLcode
        /// What the library says about the code.
        var reason: String
        /// 0 if no answer has come.
        var status: Int
        /// 0 if the answer didn't say.
        var retryAfterSeconds: Int
    }

    private mutating func note(_ code: CURLcode) {
        if failure == CURLE_OK { failure = code }
    }
}
