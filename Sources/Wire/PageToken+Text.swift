internal import Foundation
public import struct SessionModel.PageToken

// A page token on the wire: base64url of its eight bytes, big-endian, or of its cursor, which is
// longer. Opaque, so that clients don't come to rely on what is in it.

extension PageToken {
    /// A cursor has a name at most, whose characters may take four bytes each.
    private static let textBytesMax = 4_096

    public var text: String {
        let bytes = cursor ?? (0..<8).map { UInt8(truncatingIfNeeded: below >> (56 - 8 * $0)) }
        return Data(bytes).base64EncodedString()
            .replacingOccurrences(of: "+", with: "-")
            .replacingOccurrences(of: "/", with: "_")
            .replacingOccurrences(of: "=", with: "")
    }

    /// nil unless `text` is exactly a token's text.
    public init?(text: String) {
        let base64 =
            text
            .replacingOccurrences(of: "-", with: "+")
            .replacingOccurrences(of: "_", with: "/")
        guard text.utf8.count <= Self.textBytesMax else { return nil }
        let padding = String(repeating: "=", count: (4 - base64.utf8.count % 4) % 4)
        guard let data = Data(base64Encoded: base64 + padding), data.count >= 8 else { return nil }
        if data.count == 8 {
            self.init(below: Int64(bitPattern: data.reduce(0) { $0 << 8 | UInt64($1) }))
        } else {
            self.init(cursor: Array(data))
        }
        guard self.text == text else { return nil }
    }
}
