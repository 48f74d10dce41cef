/// A request target taken apart: RFC 9112 section 3.2, RFC 3986 section 2.1.
///
/// Strict where leniency has been used against servers: an escape must be two hexadecimal digits,
/// and what it yields must be UTF-8 without control characters, NUL above all, at which a C string
/// would end. Segments are split before they are decoded. Dot segments mean nothing here: there are
/// no files behind paths, so `..` is a name that no route has.
package struct RequestTarget: Equatable {
    package var path: [String]
    package var query: [QueryItem]

    /// - Throws: `Refusal.malformed`, saying what is wrong.
    package init(_ target: String) throws(Refusal) {
        let bytes = Array(target.utf8)
        guard bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }) else {
            throw .malformed("the request target has a character that must be percent-encoded")
        }
        var rest = bytes[...]
        if rest.first != UInt8(ascii: "/") { rest = try Self.originForm(rest) }
        let question = rest.firstIndex(of: UInt8(ascii: "?")) ?? rest.endIndex
        path = []
        path.reserveCapacity(8)
        var segments = Parts(rest[..<question].dropFirst(), separator: UInt8(ascii: "/"))
        while let segment = segments.next() {
            path.append(try Self.decode(segment, plusIsSpace: false))
        }
        query = []
        var items = Parts(rest[question...].dropFirst(), separator: UInt8(ascii: "&"))
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

    /// What stands between separators, one after the other, empty ones included.
    private struct Parts {
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

    /// The path and query of an absolute form, which a server must take as well:
    /// `http://host/path`.
    private static func originForm(
        _ target: ArraySlice<UInt8>
    ) throws(Refusal) -> ArraySlice<UInt8> {
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
    ) throws(Refusal) -> String {
        let isPlain = text.allSatisfy {
            $0 != UInt8(ascii: "%") && !(plusIsSpace && $0 == UInt8(ascii: "+"))
        }
        // Of ASCII alone, as was found before.
        if isPlain { return String(decoding: text, as: UTF8.self) }
        var decoded: [UInt8] = []
        decoded.reserveCapacity(text.count)
        var bytes = text.makeIterator()
        while let byte = bytes.next() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = bytes.next().flatMap(hexadecimal),
                    let low = bytes.next().flatMap(hexadecimal)
                else { throw .malformed("a percent sign is not followed by two digits") }
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
