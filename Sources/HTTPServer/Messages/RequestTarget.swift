/// The decoded path and query of a request target: RFC 9112, section 3.2; RFC 3986, section 2.1.
///
/// The parser is strict where lenient parsers have been attacked: an escape must have two
/// hexadecimal digits, and the decoded text must be UTF-8 without control characters. (A NUL would
/// end a C string early.) Segments are split before they are decoded. Dot segments are not
/// resolved: paths do not name files, so `..` is a segment that no route has.
package struct RequestTarget: Equatable {
    package var path: [String]
    package var query: [QueryItem]

    /// - Throws: `RequestRejection.malformed` with the reason.
    package init(_ target: String) throws(RequestRejection) {
        let bytes = Array(target.utf8)
        guard bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }) else {
            throw .malformed("the request target has a character that must be percent-encoded")
        }
        var rest = bytes[...]
        if rest.first != UInt8(ascii: "/") { rest = try Self.originForm(rest) }
        let question = rest.firstIndex(of: UInt8(ascii: "?")) ?? rest.endIndex
        path = []
        path.reserveCapacity(8)
        var segments = SeparatedFields(rest[..<question].dropFirst(), separator: UInt8(ascii: "/"))
        while let segment = segments.next() {
            path.append(try Self.decode(segment, plusIsSpace: false))
        }
        query = []
        var items = SeparatedFields(rest[question...].dropFirst(), separator: UInt8(ascii: "&"))
        while let item = items.next() {
            if item.isEmpty { continue }
            let equals = item.firstIndex(of: UInt8(ascii: "="))
            let name = item[..<(equals ?? item.endIndex)]
            let value = equals.map { item[($0 + 1)...] } ?? item[item.endIndex...]
            query.append(
                QueryItem(
                    name: try Self.decode(name, plusIsSpace: true),
                    value: try Self.decode(value, plusIsSpace: true)))
        }
    }

    /// Iterates over the fields between separators, including empty ones, without allocating.
    private struct SeparatedFields {
        private var rest: ArraySlice<UInt8>?
        private let separator: UInt8

        init(_ bytes: ArraySlice<UInt8>, separator: UInt8) {
            rest = bytes
            self.separator = separator
        }

        mutating func next() -> ArraySlice<UInt8>? {
            guard let bytes = rest else { return nil }
            guard let end = bytes.firstIndex(of: separator) else {
                rest = nil
                return bytes
            }
            rest = bytes[(end + 1)...]
            return bytes[..<end]
        }
    }

    /// Strips scheme and authority from the absolute form, `http://host/path`, which a server must
    /// accept too.
    private static func originForm(
        _ target: ArraySlice<UInt8>
    ) throws(RequestRejection) -> ArraySlice<UInt8> {
        for scheme in ["http://", "https://"] where target.starts(with: scheme.utf8) {
            let authority = target.dropFirst(scheme.utf8.count)
            if let slash = authority.firstIndex(of: UInt8(ascii: "/")) {
                return authority[slash...]
            }
        }
        throw .malformed("the request target must begin with a slash")
    }

    private static func decode(
        _ text: ArraySlice<UInt8>, plusIsSpace: Bool
    ) throws(RequestRejection) -> String {
        let isPlain = text.allSatisfy {
            $0 != UInt8(ascii: "%") && !(plusIsSpace && $0 == UInt8(ascii: "+"))
        }
        // `init` has checked that the target is ASCII.
        if isPlain { return String(decoding: text, as: UTF8.self) }
        var decoded: [UInt8] = []
        decoded.reserveCapacity(text.count)
        var bytes = text.makeIterator()
        while let byte = bytes.next() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = bytes.next().flatMap(hexadecimal),
                    let low = bytes.next().flatMap(hexadecimal)
                else {
                    throw .malformed("a percent sign is not followed by two hexadecimal digits")
                }
                let value = high << 4 | low
                guard value >= 0x20, value != 0x7F else {
                    throw .malformed("the request target encodes a control character")
                }
                decoded.append(value)
            case UInt8(ascii: "+") where plusIsSpace:
                decoded.append(UInt8(ascii: " "))
            default:
                decoded.append(byte)
            }
        }
        guard let string = String(validating: decoded, as: UTF8.self) else {
            throw .malformed("the request target is not UTF-8")
        }
        return string
    }

    private static func hexadecimal(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
