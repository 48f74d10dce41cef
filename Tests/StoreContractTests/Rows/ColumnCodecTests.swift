import SQLiteStore
import SessionModel
import Testing

@Suite("Encoded columns")
struct ColumnCodecTests {
    private static let values: [ColumnValue] = [
        .null, .integer(0), .integer(-1), .integer(63), .integer(64), .integer(.min),
        .integer(.max), .integer(1 << 55), .integer(-(1 << 55)), .text(""), .text("Größe"),
        .bytes([]), .bytes(Array(0...200)),
    ]

    @Test("Values are read back, and no prefix of them is", arguments: ColumnFormat.allCases)
    func roundTrip(_ format: ColumnFormat) throws {
        var encoder = ColumnEncoder(format, reserving: 0)
        encoder.append(Self.values)
        var decoder = ColumnDecoder(format, encoder.bytes[...])
        #expect(try decoder.values(Self.values.count) == Self.values)
        #expect(decoder.isAtEnd)
        for length in 0..<encoder.bytes.count {
            #expect(throws: StoreError.self, "\(length) bytes") {
                var decoder = ColumnDecoder(format, encoder.bytes[..<length])
                _ = try decoder.values(Self.values.count)
            }
        }
    }

    @Test("The formats on disk are fixed")
    func bytes() {
        let values: [ColumnValue] = [.null, .integer(-2), .text("a"), .bytes([7])]
        var fixed = ColumnEncoder(.fixedWidth, reserving: 0)
        fixed.append(values)
        let ones = [UInt8](repeating: 0xFF, count: 7)
        let zeros = [UInt8](repeating: 0, count: 7)
        #expect(
            fixed.bytes == [0, 1, 0xFE] + ones + [3, 1] + zeros + [0x61, 4, 1] + zeros + [7])
        var compact = ColumnEncoder(.compact, reserving: 0)
        compact.append(values + [.integer(150), .integer(.max)])
        #expect(
            compact.bytes == [0, 1, 3, 3, 1, 0x61, 4, 1, 7, 1, 0xAC, 2, 2] + ones + [0x7F])
    }
}
