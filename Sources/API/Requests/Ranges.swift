internal import HTTPServer
internal import HTTPTypes
internal import Wire

// A download that was cut off goes on where it was: RFC 9110, section 14. One range of bytes; to
// several the answer is the whole, as the standard allows.

/// What a Range field asks for, of bytes.
enum ByteRange: Equatable {
    /// From an offset to another, or to the end.
    case from(Int, through: Int?)
    /// So many at the end.
    case last(Int)

    /// nil when there is nothing to be done for it: it can't be read, has another unit, or asks for
    /// several ranges.
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

    /// What has too many digits is beyond every body.
    private static func offset(_ digits: Substring) -> Int? {
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return Int(digits) ?? .max
    }

    /// The part of so many bytes that is meant; nil when it has none of them.
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
    /// The part that was asked for, if one was, of the whole in the same form.
    ///
    /// Throws 416 when there is no such part.
    func ranged(for head: RequestHead) throws(Problem) -> Response {
        guard status == .ok, let count = bodyByteCount else { return self }
        let whole = with(.acceptRanges, "bytes")
        // For other methods, HEAD included, the field has no meaning.
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

    /// Whether the client's other parts are of the same bytes. Times are none of our validators.
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
        // A large one isn't held a second time.
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

    func copy(from offset: Int, to room: UnsafeMutableRawBufferPointer) -> Int {
        let size = min(room.count, range.count - offset)
        // Sound: the room is the caller's for the call, and no more of it is used than there is.
        return unsafe whole.copy(
            from: range.lowerBound + offset,
            to: UnsafeMutableRawBufferPointer(rebasing: room[..<size]))
    }
}
