/// The `traceparent` field of W3C Trace Context (section 3.2): version, trace, parent and flags in
/// lower-case hexadecimal digits with hyphens between them.
package enum TraceParent {
    /// The trace's identifier, 32 digits; nil unless the field is valid. A later version may have
    /// more behind the flags, which is ignored.
    package static func traceID(_ value: String) -> String? {
        let bytes = Array(value.utf8)
        guard bytes.count >= 55, bytes[2] == dash, bytes[35] == dash, bytes[52] == dash,
            isHexadecimal(bytes[0..<2]), isHexadecimal(bytes[3..<35]),
            isHexadecimal(bytes[36..<52]), isHexadecimal(bytes[53..<55]),
            bytes[0] != UInt8(ascii: "f") || bytes[1] != UInt8(ascii: "f"),
            bytes[3..<35].contains(where: { $0 != zero }),
            bytes[36..<52].contains(where: { $0 != zero })
        else { return nil }
        let isFirstVersion = bytes[0] == zero && bytes[1] == zero
        guard bytes.count == 55 || (!isFirstVersion && bytes[55] == dash) else { return nil }
        return String(decoding: bytes[3..<35], as: UTF8.self)
    }

    private static let dash = UInt8(ascii: "-")
    private static let zero = UInt8(ascii: "0")

    private static func isHexadecimal(_ digits: ArraySlice<UInt8>) -> Bool {
        digits.allSatisfy {
            (zero...UInt8(ascii: "9")).contains($0)
                || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
        }
    }
}
