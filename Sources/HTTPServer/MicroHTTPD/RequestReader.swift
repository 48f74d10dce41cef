import CMicrohttpd
import HTTPTypes

/// Reads a request's header from the library, and checks what only the raw bytes show.
///
/// The library accepts requests that are used for smuggling: it allows `Content-Length` together
/// with `Transfer-Encoding`, repeated lengths, blanks before the colon, folded field names and NUL
/// bytes. This reader, `HeaderCollector`, `BodyFraming` and `RequestTarget` reject them.
@safe
struct RequestReader: ~Copyable {
    private let handle: OpaquePointer
    private let method: UnsafePointer<CChar>
    private let version: UnsafePointer<CChar>

    struct Header {
        /// Filled in as far as possible even if the request is malformed, for the log.
        var head: RequestHead
        var framing: Result<BodyFraming, RequestRejection>
        var expectsContinue: Bool
    }

    /// The pointers must be those of one call of the access callback, and the reader must not
    /// outlive that call.
    @unsafe
    init(
        handle: OpaquePointer, method: UnsafePointer<CChar>, version: UnsafePointer<CChar>
    ) {
        unsafe self.handle = unsafe handle
        unsafe self.method = unsafe method
        unsafe self.version = unsafe version
    }

    consuming func read(target: String, remoteAddress: String) -> Header {
        let token = unsafe String(cString: method)
        let method = HTTPRequest.Method(token)
        let fields = collectFields(token: token, target: target)
        var parsedTarget: RequestTarget?
        let framing: Result<BodyFraming, RequestRejection>
        var expectsContinue = false
        do throws(RequestRejection) {
            if let defect = fields.defect { throw .malformed(defect) }
            guard method != nil else { throw .malformed("the method is not a token") }
            // The library accepts 1.0 and 1.x. A later minor version is treated as 1.1.
            let isHTTP11 = unsafe String(cString: version) != "HTTP/1.0"
            guard fields.hostCount == 1 || (fields.hostCount == 0 && !isHTTP11) else {
                throw .malformed(fields.hostCount == 0 ? "Host is missing" : "several Host fields")
            }
            let soundFraming = try BodyFraming(
                lengths: fields.lengths, codings: fields.codings, isHTTP11: isHTTP11)
            parsedTarget = try RequestTarget(target)
            framing = .success(soundFraming)
            expectsContinue = isHTTP11 && fields.expectsContinue
        } catch {
            framing = .failure(error)
        }
        let head = RequestHead(
            method: method ?? .unreadable, target: target, path: parsedTarget?.path ?? [],
            query: parsedTarget?.query ?? [], headerFields: fields.fields,
            remoteAddress: remoteAddress)
        return Header(head: head, framing: framing, expectsContinue: expectsContinue)
    }

    private borrowing func collectFields(token: String, target: String) -> HeaderCollector {
        var collector = HeaderCollector()
        // Sound: the iterator is called with the collector as its context, before the call returns.
        unsafe withUnsafeMutablePointer(to: &collector) {
            _ = unsafe MHD_get_connection_values_n(handle, .HEADER_KIND, collectHeaderField, $0)
        }
        // The method is the first byte of the header. Only addresses are computed, nothing is read.
        let start = unsafe Int(bitPattern: method)
        let size = unsafe Int(cmhd_header_size(handle))
        collector.checkEnd(at: start + size)
        // The library cuts the target at a NUL byte, but the version follows the whole target.
        let lengthBeforeVersion = unsafe Int(bitPattern: version) - start
        if HeaderCollector.isParserFaulty,
            lengthBeforeVersion != token.utf8.count + target.utf8.count + 2
        {
            collector.defect =
                "the request line is not method, target and version with single spaces between"
        }
        return collector
    }
}
