internal import HTTPServer
internal import HTTPTypes
internal import Wire

// Range requests (RFC 9110, section 14) resume a download that was cut off. One range of bytes is
// supported; a request for several gets the whole, as the standard allows.

/// The byte range of a Range field.
enum ByteRange: Equatable {
    /// From an offset through another, or to the end.
    case from(Int, through: Int?)
    /// The last bytes, so many.
    case last(Int)

    /// nil when the field is ignored: it is malformed, has another unit, or asks for several
    /// ranges.
    init?(_ field: String) {
        let parts = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, trimmed(parts[0]).lowercased() == "bytes" else { return nil }
        let ends = trimmed(parts[1]).split(
            separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard ends.count == 2 else { return nil }
        switch (ByteRange.offset(ends[0]), ByteRange.offset(ends[1])) {
        case (let first?, let last?) where first <= last: self = .from(first, through: last)
        case (let first?, nil) where ends[1].isEmpty: self = .from(first, through: nil)
        case (nil, let count?) where ends[0].isEmpty: self = .last(count)
        default: return nil
        }
    }

    /// An offset with too many digits is beyond every body.
    private static func offset(_ digits: Substring) -> Int? {
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int(digits) ?? .max
    }

    /// The range within a body of `count` bytes; nil when it is outside.
    func resolved(of count: Int) -> Range<Int>? {
        switch self {
        case .from(let first, let last):
            guard first < count else { return nil }
            return first..<min(last ?? count - 1, count - 1) + 1
        case .last(let length):
            guard length > 0, count > 0 else { return nil }
            return max(0, count - length)..<count
        }
    }
}

extension Response {
    /// The requested range of the response, or the whole when none was requested.
    ///
    /// Throws 416 when the range is outside.
    func ranged(for head: RequestHead) throws(Problem) -> Response {
        guard status == .ok, let count = bodyByteCount else { return self }
        let whole = with(.acceptRanges, "bytes")
        // The field has a meaning for GET only.
        guard head.method == .get, let field = head.headerFields[.range],
            let range = ByteRange(field), isCurrent(for: head)
        else { return whole }
        guard let part = range.resolved(of: count) else {
            var problem = Problem(
                .rangeNotSatisfiable, "The answer has \(count) bytes, and none of that range.",
                members: [("length", .integer(count))])
            problem.headerFields[.contentRange] = "bytes */\(count)"
            throw problem
        }
        var response = whole
        response.status = .partialContent
        response.headerFields[.contentRange] =
            "bytes \(part.lowerBound)-\(part.upperBound - 1)/\(count)"
        response.body = body.part(part)
        return response
    }

    /// Whether If-Range still holds. Entity tags are the only validators here; dates never match.
    private func isCurrent(for head: RequestHead) -> Bool {
        guard let field = head.headerFields[.ifRange] else { return true }
        guard let tag = headerFields[.eTag], let tags = EntityTags(field) else { return false }
        return tags.isExactly(tag)
    }
}

extension Response.Body {
    /// - Precondition: the length is known, and the range lies within it.
    fileprivate func part(_ range: Range<Int>) -> Response.Body {
        switch self {
        case .none: self
        case .bytes(let bytes) where range.count <= 1 << 16: .bytes(Array(bytes[range]))
        // A large one isn't copied.
        case .bytes(let bytes): .source(SourcePart(whole: ByteSource(bytes), range: range))
        case .source(let source): .source(SourcePart(whole: source, range: range))
        case .stream: preconditionFailure("a part of what has no length")
        }
    }
}

private struct SourcePart: BodySource {
    let whole: any BodySource
    let range: Range<Int>

    var count: Int { range.count }
    /// A part keeps the whole in memory.
    var heldBytes: Int { whole.heldBytes }

    func copy(from offset: Int, to buffer: UnsafeMutableRawBufferPointer) -> Int {
        let size = min(buffer.count, range.count - offset)
        // Sound: the buffer is valid during the call, and no more than its count is written.
        return unsafe whole.copy(
            from: range.lowerBound + offset,
            to: UnsafeMutableRawBufferPointer(rebasing: buffer[..<size]))
    }
}
