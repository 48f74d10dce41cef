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
        let bytes = target.utf8
        guard bytes.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }) else {
            throw .malformed("the request target has a character that must be percent-encoded")
        }
        var rest = bytes[...]
        if rest.first != UInt8(ascii: "/") { rest = try Self.originForm(rest) }
        let question = rest.firstIndex(of: UInt8(ascii: "?"))
        let path = rest[..<(question ?? rest.endIndex)].dropFirst()
        self.path = []
        for segment in path.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false) {
            self.path.append(try Self.decode(segment, plusIsSpace: false))
        }
        query = []
        guard let question else { return }
        for item in rest[rest.index(after: question)...].split(separator: UInt8(ascii: "&")) {
            let equals = item.firstIndex(of: UInt8(ascii: "="))
            let name = item[..<(equals ?? item.endIndex)]
            let value = equals.map { item[item.index(after: $0)...] } ?? item[item.endIndex...]
            query.append(
                QueryItem(
                    name: try Self.decode(name, plusIsSpace: true),
                    value: try Self.decode(value, plusIsSpace: true)))
        }
    }

    /// The path and query of an absolute form, which a server must take as well:
    /// `http://host/path`.
    private static func originForm(
        _ target: Substring.UTF8View
    ) throws(Refusal) -> Substring.UTF8View {
        for scheme in ["http://", "https://"] where target.starts(with: scheme.utf8) {
            let authority = target.dropFirst(scheme.utf8.count)
            if let slash = authority.firstIndex(of: UInt8(ascii: "/")) {
                return authority[slash...]
            }
        }
        throw .malformed("the request target must begin with a slash")
    }

    private static func decode(
        _ text: Substring.UTF8View, plusIsSpace: Bool
    ) throws(Refusal) -> String {
        let special = text.contains {
            $0 == UInt8(ascii: "%") || (plusIsSpace && $0 == UInt8(ascii: "+"))
        }
        if !special { return String(Substring(text)) }
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
