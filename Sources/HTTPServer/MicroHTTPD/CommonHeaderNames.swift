import HTTPTypes

/// Field names from bytes, without building the common ones anew for every request.
enum FieldNames {
    /// What clients of an API send with nearly every request. Their names are constants of the
    /// program.
    private static let common: [HTTPField.Name] = [
        host, .accept, .userAgent, .connection, .contentType, .contentLength, .authorization,
        .acceptEncoding, .ifMatch, .ifNoneMatch, .expect, .transferEncoding,
    ]

    /// HTTPTypes has no constant for it, since HTTP/2 has no such field.
    static let host = HTTPField.Name("Host")!

    /// By length: at most a few candidates are compared.
    private static let byLength: [[(bytes: [UInt8], name: HTTPField.Name)]] = {
        let longest = common.map(\.canonicalName.utf8.count).max() ?? 0
        return (0...longest).map { length in
            common.filter { $0.canonicalName.utf8.count == length }
                .map { (Array($0.canonicalName.utf8), $0) }
        }
    }()

    /// `nil` when the bytes are not a token.
    static func name(_ bytes: UnsafeRawBufferPointer) -> HTTPField.Name? {
        let count = bytes.count
        if count == 0 { return nil }
        if count < byLength.count {
            // Bit 5 is the case of a letter; no other byte of a token comes out as one.
            for (known, name) in byLength[count]
            where known.indices.allSatisfy({ unsafe bytes[$0] | 0x20 == known[$0] | 0x20 }) {
                if unsafe isPlain(bytes) { return name }
            }
        }
        return unsafe String(validating: bytes, as: UTF8.self).flatMap { HTTPField.Name($0) }
    }

    /// Letters and hyphens only: with bit 5 set, nothing else can pass for a letter.
    private static func isPlain(_ bytes: UnsafeRawBufferPointer) -> Bool {
        unsafe bytes.allSatisfy {
            ($0 | 0x20 >= UInt8(ascii: "a") && $0 | 0x20 <= UInt8(ascii: "z"))
                || $0 == UInt8(ascii: "-")
        }
    }
}
