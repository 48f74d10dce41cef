import Foundation
import GRDB
import SessionModel

/// A row's values in as few octets as SQLite takes for them: a kind each, and an integer in seven
/// bits to an octet, the lowest first. Who keeps them sees to a checksum.
struct PackedRowWriter: RowWriter {
    private(set) var bytes: [UInt8] = []

    fileprivate enum Kind: UInt8 {
        case null, integer, word, text, bytes
    }

    init(reserving capacity: Int) { bytes.reserveCapacity(capacity) }

    mutating func add(_ value: Int64?) {
        guard let value else { return bytes.append(Kind.null.rawValue) }
        // The sign goes to the lowest bit, so that small numbers of either sign are short.
        let folded = UInt64(bitPattern: value << 1 ^ value >> 63)
        if folded >> 56 == 0 {
            bytes.append(Kind.integer.rawValue)
            append(folded)
        } else {
            bytes.append(Kind.word.rawValue)
            bytes.appendLittleEndian(value)
        }
    }

    mutating func add(_ value: String?) {
        guard let value else { return bytes.append(Kind.null.rawValue) }
        bytes.append(Kind.text.rawValue)
        append(UInt64(value.utf8.count))
        bytes.append(contentsOf: value.utf8)
    }

    mutating func add(_ value: [UInt8]?) {
        guard let value else { return bytes.append(Kind.null.rawValue) }
        bytes.append(Kind.bytes.rawValue)
        append(UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    private mutating func append(_ number: UInt64) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}

/// Reads what `PackedRowWriter` has written.
struct PackedRowReader {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    var isAtEnd: Bool { rest.isEmpty }

    /// The next `count` values.
    mutating func values(_ count: Int) throws(StoreError) -> [DatabaseValue] {
        var values: [DatabaseValue] = []
        values.reserveCapacity(count)
        for _ in 0..<count { values.append(try value()) }
        return values
    }

    private mutating func value() throws(StoreError) -> DatabaseValue {
        guard let kind = rest.popFirst() else { throw .corrupt("packed values end too early") }
        switch PackedRowWriter.Kind(rawValue: kind) {
        case .null: return .null
        case .integer:
            let folded = try number()
            return (Int64(folded >> 1) ^ -Int64(folded & 1)).databaseValue
        case .word: return Int64(littleEndianBytes: try take(8)).databaseValue
        case .text: return String(decoding: try take(length()), as: UTF8.self).databaseValue
        case .bytes: return Data(try take(length())).databaseValue
        case nil: throw .corrupt("a packed value is of no known kind")
        }
    }

    private mutating func length() throws(StoreError) -> Int { Int(clamping: try number()) }

    private mutating func number() throws(StoreError) -> UInt64 {
        var number: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 63, by: 7) {
            guard let octet = rest.popFirst() else { break }
            number |= UInt64(octet & 0x7F) << shift
            if octet < 0x80 { return number }
        }
        throw .corrupt("a packed number has no end")
    }

    private mutating func take(_ count: Int) throws(StoreError) -> ArraySlice<UInt8> {
        guard count <= rest.count else { throw .corrupt("packed values end too early") }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }
}
