import DiskLog
package import SessionModel

/// The two formats of encoded column values. Each value is its kind (1 byte) and its content:
///
///     kind            fixedWidth                     compact
///     0 null
///     1 integer       8 bytes, little-endian         varint of the zigzag-coded integer
///     2               the bit pattern of a float     an integer of 8 bytes, little-endian
///     3 text          length (8 bytes), UTF-8        length (varint), UTF-8
///     4 bytes         length (8 bytes), bytes        length (varint), bytes
///
/// A varint has seven bits a byte, the lowest first; zigzag moves the sign to the lowest bit, so
/// that small numbers of either sign are short (Protocol Buffers). Integers that need more than 56
/// bits take the second form of the compact format.
package enum ColumnFormat: CaseIterable, Sendable {
    /// What a row's checksum covers, and what the log's records contain.
    case fixedWidth
    /// What trace batches contain.
    case compact
}

private enum ColumnKind: UInt8 {
    case null, integer, wide, text, bytes
}

package struct ColumnEncoder {
    package let format: ColumnFormat
    package private(set) var bytes: [UInt8] = []

    package init(_ format: ColumnFormat, reserving capacity: Int) {
        self.format = format
        bytes.reserveCapacity(capacity)
    }

    package mutating func append(_ values: some Sequence<ColumnValue>) {
        for value in values { append(value) }
    }

    package mutating func append(_ value: ColumnValue) {
        switch value {
        case .null: append(ColumnKind.null)
        case .integer(let integer):
            // Zigzag coding.
            let folded = UInt64(bitPattern: integer << 1 ^ integer >> 63)
            if format == .fixedWidth {
                append(ColumnKind.integer)
                bytes.appendLittleEndian(integer)
            } else if folded >> 56 == 0 {
                append(ColumnKind.integer)
                appendVarint(folded)
            } else {
                append(ColumnKind.wide)
                bytes.appendLittleEndian(integer)
            }
        case .real(let real):
            precondition(format == .fixedWidth, "the compact format has no floats")
            append(ColumnKind.wide)
            bytes.appendLittleEndian(real.bitPattern)
        case .text(let text):
            append(ColumnKind.text)
            append(count: text.utf8.count)
            bytes.append(contentsOf: text.utf8)
        case .bytes(let content):
            append(ColumnKind.bytes)
            append(count: content.count)
            bytes.append(contentsOf: content)
        }
    }

    private mutating func append(_ kind: ColumnKind) { bytes.append(kind.rawValue) }

    private mutating func append(count: Int) {
        switch format {
        case .fixedWidth: bytes.appendLittleEndian(Int64(count))
        case .compact: appendVarint(UInt64(count))
        }
    }

    private mutating func appendVarint(_ number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}

/// Reads what `ColumnEncoder` has written. The caller has verified a checksum of the bytes.
package struct ColumnDecoder {
    package let format: ColumnFormat
    private var reader: LittleEndianReader

    package init(_ format: ColumnFormat, _ bytes: ArraySlice<UInt8>) {
        self.format = format
        reader = LittleEndianReader(bytes)
    }

    package var isAtEnd: Bool { reader.isAtEnd }

    package mutating func values(_ count: Int) throws(StoreError) -> [ColumnValue] {
        var values: [ColumnValue] = []
        values.reserveCapacity(count)
        for _ in 0..<count { values.append(try value()) }
        return values
    }

    private mutating func value() throws(StoreError) -> ColumnValue {
        let kind = try require(reader.byte())
        switch ColumnKind(rawValue: kind) {
        case .null: return .null
        case .integer:
            if format == .fixedWidth { return .integer(try word()) }
            let folded = try varint()
            return .integer(Int64(folded >> 1) ^ -Int64(folded & 1))
        case .wide:
            let word = try word()
            return format == .fixedWidth
                ? .real(Double(bitPattern: UInt64(bitPattern: word))) : .integer(word)
        case .text: return .text(String(decoding: try content(), as: UTF8.self))
        case .bytes: return .bytes(Array(try content()))
        case nil: throw .corrupt("an encoded column has the unknown kind \(kind)")
        }
    }

    private mutating func content() throws(StoreError) -> ArraySlice<UInt8> {
        let count = format == .fixedWidth ? try word() : Int64(clamping: try varint())
        return try require(reader.bytes(Int(clamping: count)))
    }

    private mutating func word() throws(StoreError) -> Int64 {
        try require(reader.integer(Int64.self))
    }

    private mutating func varint() throws(StoreError) -> UInt64 {
        var number: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 63, by: 7) {
            let byte = try require(reader.byte())
            number |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return number }
        }
        throw .corrupt("a variable-length integer has no end")
    }

    private func require<Value>(_ value: Value?) throws(StoreError) -> Value {
        guard let value else { throw .corrupt("encoded columns end too early") }
        return value
    }
}
