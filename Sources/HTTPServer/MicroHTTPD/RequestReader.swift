import CMicrohttpd
import HTTPTypes

/// Reads the header of a request out of the library, refusing what only the raw header shows.
@safe
struct RequestReader: ~Copyable {
    private let handle: OpaquePointer
    private let method: UnsafePointer<CChar>
    private let version: UnsafePointer<CChar>

    /// What was found. `head` is there even when the request is malformed, for the log.
    struct Reading {
        var head: RequestHead
        var framing: Result<Framing, Refusal>
        var expectsContinue: Bool
    }

    /// The pointers must be those of one call of the access handler, and the reader must not
    /// outlive it.
    @unsafe
    init(
        handle: OpaquePointer, method: UnsafePointer<CChar>, version: UnsafePointer<CChar>
    ) {
        unsafe self.handle = unsafe handle
        unsafe self.method = unsafe method
        unsafe self.version = unsafe version
    }

    consuming func read(target: String, remoteAddress: String) -> Reading {
        var header = Header()
        // The iterator is called before the call returns, with `header` as its context.
        unsafe withUnsafeMutablePointer(to: &header) {
            _ = unsafe MHD_get_connection_values_n(handle, .HEADER_KIND, collectField, $0)
        }
        // The method stands at the beginning of the header; only its address is used here.
        let end = unsafe Int(bitPattern: method) + Int(cmhd_header_size(handle))
        header.ends(at: end)
        let token = unsafe String(cString: method)
        // The library ends the target at a NUL byte; behind the whole target stands the version.
        // Only the two addresses are used: they lie in the same request line.
        let lineLength = unsafe Int(bitPattern: version) - Int(bitPattern: method)
        if Header.isParserFaulty, lineLength != token.utf8.count + target.utf8.count + 2 {
            header.defect = "the request line is not three words, each a space apart"
        }
        let method = HTTPRequest.Method(token)
        var parsed: RequestTarget?
        let framing: Result<Framing, Refusal>
        var expectsContinue = false
        do throws(Refusal) {
            if let defect = header.defect { throw .malformed(defect) }
            guard method != nil else { throw .malformed("the method is not a token") }
            // Only 1.0 and 1.x come this far. A later minor version is read as 1.1.
            let isHTTP11 = unsafe String(cString: version) != "HTTP/1.0"
            guard header.hosts == 1 || (header.hosts == 0 && !isHTTP11) else {
                throw .malformed(header.hosts == 0 ? "Host is missing" : "several Host fields")
            }
            let sound = try Framing(
                lengths: header.lengths, codings: header.codings, isHTTP11: isHTTP11)
            parsed = try RequestTarget(target)
            framing = .success(sound)
            expectsContinue = isHTTP11 && header.expectsContinue
        } catch {
            framing = .failure(error)
        }
        let head = RequestHead(
            method: method ?? .unreadable, target: target, path: parsed?.path ?? [],
            query: parsed?.query ?? [], headerFields: header.fields, remoteAddress: remoteAddress)
        return Reading(head: head, framing: framing, expectsContinue: expectsContinue)
    }
}

extension HTTPRequest.Method {
    /// Stands in the log for a method that is not a token.
    fileprivate static let unreadable = HTTPRequest.Method("-")!
}

/// The header as it is collected, field by field.
private struct Header {
    var fields = HeaderFields()
    var lengths: [String] = []
    var codings: [String] = []
    var hosts = 0
    var expectsContinue = false
    var defect: String?
    /// The address behind the last value.
    var lastEnd: Int?

    /// The parser of 0.9 has two faults, which show only in where names and values stand in memory:
    /// it parses in place, so that in a sound header everything is where it was sent. Later
    /// versions are not faulty, and where they put things is unknown.
    static let isParserFaulty = unsafe String(cString: MHD_get_version()).hasPrefix("0.9.")

    /// Whether the value begins where the name's line goes on.
    ///
    /// `Content: 5`, newline, ` -Length` is unfolded into a field named `Content-Length`, which no
    /// other parser sees. That takes memory from elsewhere: name and value are then apart.
    static func isOnOneLine(nameEnd: Int, value: Int) -> Bool {
        !isParserFaulty || (value > nameEnd && value - nameEnd <= 64 * 1024)
    }

    /// A field with the empty name ends the header, and what follows is taken for the next request.
    /// In a sound header only two ends of lines stand behind the last value.
    mutating func ends(at end: Int) {
        guard Self.isParserFaulty, defect == nil, let lastEnd else { return }
        if !(2...4).contains(end - lastEnd) { defect = "the header does not end in an empty line" }
    }
}

/// `MHD_KeyValueIteratorN`.
private func collectField(
    context: UnsafeMutableRawPointer?, kind: MHD_ValueKind, name: UnsafePointer<CChar>?,
    nameCount: Int, value: UnsafePointer<CChar>?, valueCount: Int
) -> MHD_Result {
    guard let header = unsafe context?.assumingMemoryBound(to: Header.self), let name = unsafe name
    else { return .NO }
    // Name and value are as long as the library says, and the context is a Header: see `read`.
    let nameBytes = unsafe UnsafeRawBufferPointer(start: name, count: nameCount)
    let valueBytes = unsafe UnsafeRawBufferPointer(
        start: value, count: value == nil ? 0 : valueCount)
    guard let fieldName = unsafe FieldNames.name(nameBytes) else {
        // The space in `Content-Length : 4` is caught here.
        unsafe header.pointee.defect = "a header field's name is not a token"
        return .NO
    }
    // Addresses only: nothing is read by them.
    let nameEnd = Int(bitPattern: name) + nameCount
    let valueStart = unsafe value.map { Int(bitPattern: $0) } ?? nameEnd + 1
    guard Header.isOnOneLine(nameEnd: nameEnd, value: valueStart) else {
        unsafe header.pointee.defect = "a header field is folded"
        return .NO
    }
    unsafe header.pointee.lastEnd = valueStart + valueBytes.count
    guard unsafe valueBytes.allSatisfy({ ($0 >= 0x20 && $0 != 0x7F) || $0 == 0x09 }) else {
        unsafe header.pointee.defect = "a header field's value has a control character"
        return .NO
    }
    let value = unsafe String(decoding: trimmed(valueBytes), as: UTF8.self)
    unsafe header.pointee.fields.append(fieldName, value)
    switch fieldName {
    case .contentLength: unsafe header.pointee.lengths.append(value)
    case .transferEncoding: unsafe header.pointee.codings.append(value)
    case FieldNames.host: unsafe header.pointee.hosts += 1
    case .expect:
        if value.lowercased() == "100-continue" {
            unsafe header.pointee.expectsContinue = true
        }
    default: break
    }
    return .YES
}

/// Without white space at the end; the library has taken it from the beginning.
private func trimmed(_ value: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    var end = value.endIndex
    while end > 0, unsafe value[end - 1] == 0x20 || value[end - 1] == 0x09 { end -= 1 }
    return unsafe UnsafeRawBufferPointer(rebasing: value[..<end])
}
