import CMicrohttpd
import HTTPTypes

/// Collects the header fields that the library passes one by one, and detects defects that the
/// library hides.
///
/// The parser of libmicrohttpd 0.9 works in place: in a sound header all names and values are at
/// the addresses where they were received. Two faults of the parser show only in these addresses:
///
/// - `Content: 5`, newline, ` -Length` is unfolded into a field named `Content-Length`, which no
///   other parser sees. The unfolded text is in other memory, far from the value.
/// - A field with an empty name ends the header, and what follows is taken for the next request.
///   Only two line ends may follow the last value.
struct HeaderCollector {
    private(set) var fields = HeaderFields()
    /// The values of `Content-Length` fields.
    private(set) var lengths: [String] = []
    /// The values of `Transfer-Encoding` fields.
    private(set) var codings: [String] = []
    private(set) var hostCount = 0
    private(set) var expectsContinue = false
    /// Why the request is malformed, if it is.
    var defect: String?
    /// The address behind the last value.
    private var lastValueEnd: Int?

    /// Whether addresses can and must be checked. Later versions have neither the faults nor known
    /// addresses.
    static let isParserFaulty = unsafe String(cString: MHD_get_version()).hasPrefix("0.9.")

    /// Adds a field. Returns false if it is malformed.
    ///
    /// Sound if both buffers are valid during the call.
    @unsafe
    fileprivate mutating func add(
        name: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?
    ) -> Bool {
        guard let fieldName = unsafe HeaderNameParser.parse(name) else {
            // Among others, the blank in `Content-Length : 4`.
            defect = "a header field's name is not a token"
            return false
        }
        // Only addresses are computed, nothing is read.
        let nameEnd = Int(bitPattern: name.baseAddress) + name.count
        let valueStart = unsafe value.map { Int(bitPattern: $0.baseAddress) } ?? nameEnd + 1
        guard Self.isOnOneLine(nameEnd: nameEnd, valueStart: valueStart) else {
            defect = "a header field is folded"
            return false
        }
        let bytes = unsafe value ?? UnsafeRawBufferPointer(start: nil, count: 0)
        lastValueEnd = valueStart + bytes.count
        guard unsafe bytes.allSatisfy({ ($0 >= 0x20 && $0 != 0x7F) || $0 == 0x09 }) else {
            defect = "a header field's value has a control character"
            return false
        }
        append(fieldName, unsafe String(decoding: withoutTrailingBlanks(bytes), as: UTF8.self))
        return true
    }

    private mutating func append(_ name: HTTPField.Name, _ value: String) {
        fields.append(name, value)
        switch name {
        case .contentLength: lengths.append(value)
        case .transferEncoding: codings.append(value)
        case .host: hostCount += 1
        case .expect: if value.lowercased() == "100-continue" { expectsContinue = true }
        default: break
        }
    }

    private static func isOnOneLine(nameEnd: Int, valueStart: Int) -> Bool {
        !isParserFaulty || (valueStart > nameEnd && valueStart - nameEnd <= 64 * 1024)
    }

    /// Checks that the header ends where the library says, and not at an empty field name.
    mutating func checkEnd(at end: Int) {
        guard Self.isParserFaulty, defect == nil, let lastValueEnd else { return }
        if !(2...4).contains(end - lastValueEnd) {
            defect = "the header does not end in an empty line"
        }
    }
}

/// `MHD_KeyValueIteratorN`. The context is a `HeaderCollector`.
func collectHeaderField(
    context: UnsafeMutableRawPointer?, kind: MHD_ValueKind, name: UnsafePointer<CChar>?,
    nameCount: Int, value: UnsafePointer<CChar>?, valueCount: Int
) -> MHD_Result {
    guard let collector = unsafe context?.assumingMemoryBound(to: HeaderCollector.self),
        let name = unsafe name
    else { return .NO }
    // Sound: the library passes the lengths of name and value, which live during the call.
    let nameBytes = unsafe UnsafeRawBufferPointer(start: name, count: nameCount)
    let valueBytes = unsafe value.map {
        unsafe UnsafeRawBufferPointer(start: $0, count: valueCount)
    }
    return unsafe collector.pointee.add(name: nameBytes, value: valueBytes) ? .YES : .NO
}

/// The library has already skipped the blanks before the value.
private func withoutTrailingBlanks(_ value: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
    var end = value.endIndex
    while end > 0, unsafe value[end - 1] == 0x20 || value[end - 1] == 0x09 { end -= 1 }
    return unsafe UnsafeRawBufferPointer(rebasing: value[..<end])
}
