/// A value of CBOR (RFC 8949), as far as scalars need it: no tags, byte strings or indefinite
/// lengths. Integers have their shortest form, floating-point numbers eight bytes, which keep every
/// bit.
indirect enum CBOR: Equatable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case text(String)
    case array([CBOR])
    /// Entries in the order in which they were written.
    case map([Entry])

    struct Entry: Equatable {
        var key: String
        var value: CBOR
    }

    /// The types of RFC 8949, section 3.1, in the upper three bits of an item's first byte.
    private enum Major {
        static let unsigned: UInt8 = 0
        static let negative: UInt8 = 1
        static let text: UInt8 = 3
        static let array: UInt8 = 4
        static let map: UInt8 = 5
        static let simple: UInt8 = 7
    }

    private enum Simple {
        static let no: UInt8 = 20
        static let yes: UInt8 = 21
        static let null: UInt8 = 22
        static let float64: UInt8 = 27
    }

    /// More than any state needs.
    private static let depthMax = 32
}

// MARK: - Writing

extension CBOR {
    /// The bytes of the value.
    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        append(to: &bytes)
        return bytes
    }

    private func append(to bytes: inout [UInt8]) {
        switch self {
        case .null: bytes.append(Major.simple << 5 | Simple.null)
        case .bool(let value): bytes.append(Major.simple << 5 | (value ? Simple.yes : Simple.no))
        case .integer(let value):
            // -1 - value, without an overflow.
            CBOR.appendHead(
                value < 0 ? Major.negative : Major.unsigned,
                UInt64(bitPattern: value < 0 ? ~value : value), to: &bytes)
        case .number(let value):
            bytes.append(Major.simple << 5 | Simple.float64)
            CBOR.appendBigEndian(value.bitPattern, count: 8, to: &bytes)
        case .text(let text):
            CBOR.append(text, to: &bytes)
        case .array(let values):
            CBOR.appendHead(Major.array, UInt64(values.count), to: &bytes)
            for value in values { value.append(to: &bytes) }
        case .map(let entries):
            CBOR.appendHead(Major.map, UInt64(entries.count), to: &bytes)
            for entry in entries {
                CBOR.append(entry.key, to: &bytes)
                entry.value.append(to: &bytes)
            }
        }
    }

    private static func append(_ text: String, to bytes: inout [UInt8]) {
        appendHead(Major.text, UInt64(text.utf8.count), to: &bytes)
        bytes.append(contentsOf: text.utf8)
    }

    private static func appendHead(_ major: UInt8, _ argument: UInt64, to bytes: inout [UInt8]) {
        switch argument {
        case 0..<24: bytes.append(major << 5 | UInt8(argument))
        case 24...0xFF: appendHead(major, 24, argument, 1, to: &bytes)
        case 0x100...0xFFFF: appendHead(major, 25, argument, 2, to: &bytes)
        case 0x1_0000...0xFFFF_FFFF: appendHead(major, 26, argument, 4, to: &bytes)
        default: appendHead(major, 27, argument, 8, to: &bytes)
        }
    }

    private static func appendHead(
        _ major: UInt8, _ size: UInt8, _ argument: UInt64, _ count: Int, to bytes: inout [UInt8]
    ) {
        bytes.append(major << 5 | size)
        appendBigEndian(argument, count: count, to: &bytes)
    }

    private static func appendBigEndian(_ value: UInt64, count: Int, to bytes: inout [UInt8]) {
        for index in stride(from: 8 * (count - 1), through: 0, by: -8) {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(index)))
        }
    }
}

// MARK: - Reading

extension CBOR {
    /// Reads a value that takes all of the bytes.
    /// - Throws: If they are anything else.
    init(_ bytes: [UInt8]) throws(SnapshotFormatError) {
        var reader = Reader(rest: bytes[...])
        self = try reader.value(depth: 0)
        guard reader.rest.isEmpty else { throw .scalars("have bytes after their end") }
    }

    private struct Reader {
        var rest: ArraySlice<UInt8>

        mutating func value(depth: Int) throws(SnapshotFormatError) -> CBOR {
            guard depth < depthMax else { throw .scalars("are nested too deeply") }
            let first = try byte()
            let size = first & 0x1F
            switch first >> 5 {
            case Major.unsigned:
                return .integer(try integer(size))
            case Major.negative:
                return .integer(~(try integer(size)))
            case Major.text:
                return .text(try text(size))
            case Major.array:
                let count = try count(size)
                var values: [CBOR] = []
                for _ in 0..<count { values.append(try value(depth: depth + 1)) }
                return .array(values)
            case Major.map:
                return .map(try entries(size, depth: depth))
            case Major.simple:
                switch size {
                case Simple.no: return .bool(false)
                case Simple.yes: return .bool(true)
                case Simple.null: return .null
                case Simple.float64: return .number(Double(bitPattern: try bigEndian(8)))
                default: break
                }
            default: break
            }
            throw .scalars("have an item of type \(first)")
        }

        private mutating func entries(
            _ size: UInt8, depth: Int
        ) throws(SnapshotFormatError) -> [Entry] {
            let count = try count(size)
            var entries: [Entry] = []
            for _ in 0..<count {
                let first = try byte()
                guard first >> 5 == Major.text else { throw .scalars("have a key that is no text") }
                let key = try text(first & 0x1F)
                guard !entries.contains(where: { $0.key == key }) else {
                    throw .scalars("have \(key) twice")
                }
                entries.append(Entry(key: key, value: try value(depth: depth + 1)))
            }
            return entries
        }

        private mutating func byte() throws(SnapshotFormatError) -> UInt8 {
            guard let byte = rest.popFirst() else { throw .scalars("end too early") }
            return byte
        }

        private mutating func bigEndian(_ count: Int) throws(SnapshotFormatError) -> UInt64 {
            var value: UInt64 = 0
            for _ in 0..<count { value = value << 8 | UInt64(try byte()) }
            return value
        }

        private mutating func argument(_ size: UInt8) throws(SnapshotFormatError) -> UInt64 {
            switch size {
            case 0..<24: return UInt64(size)
            case 24...27: return try bigEndian(1 << (size - 24))
            default: throw .scalars("have an item of unknown length")
            }
        }

        private mutating func integer(_ size: UInt8) throws(SnapshotFormatError) -> Int64 {
            guard let value = Int64(exactly: try argument(size)) else {
                throw .scalars("have an integer that is too large")
            }
            return value
        }

        /// A count of items or bytes, each of which takes a byte at least.
        private mutating func count(_ size: UInt8) throws(SnapshotFormatError) -> Int {
            let count = try argument(size)
            guard count <= UInt64(rest.count) else { throw .scalars("end too early") }
            return Int(count)
        }

        private mutating func text(_ size: UInt8) throws(SnapshotFormatError) -> String {
            let count = try count(size)
            let octets = rest.prefix(count)
            guard let text = String(validating: octets, as: UTF8.self) else {
                throw .scalars("have a text that is not UTF-8")
            }
            rest = rest.dropFirst(count)
            return text
        }
    }
}
