import HTTPTypes

/// Makes field names from bytes. Names that most requests have come from a table, because creating
/// an `HTTPField.Name` takes several allocations.
enum HeaderNameParser {
    private static let commonNames: [HTTPField.Name] = [
        .host, .accept, .userAgent, .connection, .contentType, .contentLength, .authorization,
        .acceptEncoding, .ifMatch, .ifNoneMatch, .expect, .transferEncoding, .origin,
        .requestID, .traceparent,
    ]

    /// The common names, indexed by length, so that a name is compared with few candidates.
    private static let namesByLength: [[(bytes: [UInt8], name: HTTPField.Name)]] = {
        let longest = commonNames.map(\.canonicalName.utf8.count).max() ?? 0
        return (0...longest).map { length in
            commonNames.filter { $0.canonicalName.utf8.count == length }
                .map { (Array($0.canonicalName.utf8), $0) }
        }
    }()

    /// Returns nil if the bytes are not a token.
    static func parse(_ bytes: UnsafeRawBufferPointer) -> HTTPField.Name? {
        let count = bytes.count
        if count == 0 { return nil }
        if count < namesByLength.count {
            // Bit 5 distinguishes upper from lower case.
            for (common, name) in namesByLength[count]
            where common.indices.allSatisfy({ unsafe bytes[$0] | 0x20 == common[$0] | 0x20 }) {
                if unsafe isLettersAndHyphens(bytes) { return name }
            }
        }
        return unsafe String(validating: bytes, as: UTF8.self).flatMap { HTTPField.Name($0) }
    }

    /// Excludes bytes that the comparison above takes for a letter or hyphen because it ignores
    /// bit 5.
    private static func isLettersAndHyphens(_ bytes: UnsafeRawBufferPointer) -> Bool {
        unsafe bytes.allSatisfy {
            ($0 | 0x20 >= UInt8(ascii: "a") && $0 | 0x20 <= UInt8(ascii: "z"))
                || $0 == UInt8(ascii: "-")
        }
    }
}

extension HTTPField.Name {
    /// HTTPTypes has no constant for it, because HTTP/2 does not have the field.
    static let host = HTTPField.Name("Host")!
}
