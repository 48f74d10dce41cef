internal import Foundation
public import struct SessionModel.PageToken

// A page token on the wire: base64url of its eight bytes, big-endian. Opaque, so that clients
// don't come to rely on what is in it.

extension PageToken {
    public var text: String {
        let bytes = (0..<8).map { UInt8(truncatingIfNeeded: below >> (56 - 8 * $0)) }
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
        guard let data = Data(base64Encoded: base64 + "="), data.count == 8 else { return nil }
        self.init(below: Int64(bitPattern: data.reduce(0) { $0 << 8 | UInt64($1) }))
        guard self.text == text else { return nil }
    }
}
