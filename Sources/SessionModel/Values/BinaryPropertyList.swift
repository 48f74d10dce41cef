internal import Foundation

/// The format on disk of what isn't a vector: binary property lists, which keep every bit of a
/// float, describe themselves, and can be read without this program.
public enum BinaryPropertyList {
    /// Throws what a value's own `encode(to:)` throws, and for a value that isn't a container.
    public static func encode(_ value: some Encodable) throws -> [UInt8] {
        let encoder = PropertyListEncoder()
        encoder.outputFormat = .binary
        return [UInt8](try encoder.encode(value))
    }

    /// Throws `Malformed` for bytes that are no binary property list: Foundation's decoder ends the
    /// process on some of them. Other errors are the decoder's.
    public static func decode<Value: Decodable>(
        _ type: Value.Type, from bytes: some Sequence<UInt8>
    ) throws -> Value {
        let bytes = [UInt8](bytes)
        var structure = PropertyListStructure(bytes)
        try structure.check()
        return try PropertyListDecoder().decode(type, from: Data(bytes))
    }

    public struct Malformed: Error, CustomStringConvertible {
        public let description: String
    }
}

/// Whether bytes are a binary property list (version 00) that a decoder can walk through: objects
/// of known kinds within the file, a tree of at most `depthMax` levels, text as keys.
///
///     "bplist00" | objects | offsets of the objects | trailer of 32 bytes
///
/// All numbers are big-endian. An object is a marker (kind 4 bits, size 4 bits), a count where the
/// size is 15, and its content; arrays and dictionaries refer to other objects by number.
private struct PropertyListStructure {
    private let bytes: [UInt8]
    /// Where each object begins.
    private var offsets: [Int] = []
    /// Where the objects end.
    private var end = 0
    private var referenceSize = 1
    /// How many objects were visited: an object that is referred to twice counts twice.
    private var visited = 0

    private static let header = Array("bplist00".utf8)
    private static let trailerSize = 32
    private static let depthMax = 64
    private static let visitsMax = 1 << 22

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func check() throws(BinaryPropertyList.Malformed) {
        let trailer = bytes.count - Self.trailerSize
        try require(
            trailer > Self.header.count && bytes.starts(with: Self.header), "no property list")
        let offsetSize = Int(bytes[trailer + 6])
        referenceSize = Int(bytes[trailer + 7])
        let sizes: Set = [1, 2, 4, 8]
        try require(
            sizes.contains(offsetSize) && sizes.contains(referenceSize), "sizes of references")
        let count = try number(at: trailer + 8, size: 8)
        let top = try number(at: trailer + 16, size: 8)
        end = try number(at: trailer + 24, size: 8)
        try require(
            end > Self.header.count && end <= trailer && count <= (trailer - end) / offsetSize
                && count * offsetSize == trailer - end && top < count, "the table of objects")
        offsets.reserveCapacity(count)
        for index in 0..<count {
            let offset = try number(at: end + index * offsetSize, size: offsetSize)
            try require(offset >= Self.header.count && offset < end, "an object's offset")
            offsets.append(offset)
        }
        try visit(top, depth: 0)
    }

    private mutating func visit(_ object: Int, depth: Int) throws(BinaryPropertyList.Malformed) {
        visited += 1
        try require(depth < Self.depthMax && visited <= Self.visitsMax, "too many objects")
        let offset = offsets[object]
        let size = Int(bytes[offset] & 0xF)
        switch bytes[offset] >> 4 {
        case 0x0: try require(size == 8 || size == 9, "a constant")
        case 0x1:
            try require(size <= 4, "an integer's size")
            try requireRoom(1 << size, at: offset + 1)
        case 0x2:
            try require(size == 2 || size == 3, "a real's size")
            try requireRoom(1 << size, at: offset + 1)
        case 0x3:
            try require(size == 3, "a date's size")
            try requireRoom(8, at: offset + 1)
            let seconds = Double(bitPattern: bigEndian(at: offset + 1, size: 8))
            try require(seconds.isFinite, "a date that isn't finite")
        case 0x4:
            let (count, start) = try counted(at: offset)
            try requireRoom(count, at: start)
        case 0x5:
            let (count, start) = try counted(at: offset)
            try requireRoom(count, at: start)
            try require(bytes[start..<start + count].allSatisfy { $0 < 0x80 }, "text")
        case 0x6:
            let (count, start) = try counted(at: offset)
            try requireRoom(count, of: 2, at: start)
        case 0xA:
            let (count, start) = try counted(at: offset)
            for item in try references(count, at: start) { try visit(item, depth: depth + 1) }
        case 0xD:
            let (count, start) = try counted(at: offset)
            let keys = try references(count, at: start)
            let values = try references(count, at: start + count * referenceSize)
            try requireKeys(keys)
            for item in values { try visit(item, depth: depth + 1) }
        default:
            throw BinaryPropertyList.Malformed(description: "an object of an unknown kind")
        }
    }

    /// Keys are different texts.
    private mutating func requireKeys(_ keys: [Int]) throws(BinaryPropertyList.Malformed) {
        var known: Set<ArraySlice<UInt8>> = []
        for key in keys {
            let kind = bytes[offsets[key]] >> 4
            let isWide = kind == 0x6
            try require(isWide || kind == 0x5, "a key that isn't text")
            try visit(key, depth: 0)
            let (count, start) = try counted(at: offsets[key])
            let text = bytes[start..<start + count * (isWide ? 2 : 1)]
            try require(known.insert(text).inserted, "a key that is there twice")
        }
    }

    private func references(
        _ count: Int, at start: Int
    ) throws(BinaryPropertyList.Malformed) -> [Int] {
        try requireRoom(count, of: referenceSize, at: start)
        var references: [Int] = []
        references.reserveCapacity(count)
        for index in 0..<count {
            let object = try number(at: start + index * referenceSize, size: referenceSize)
            try require(object < offsets.count, "a reference")
            references.append(object)
        }
        return references
    }

    /// The count of an object at an offset, and where its content starts.
    private func counted(
        at offset: Int
    ) throws(BinaryPropertyList.Malformed) -> (count: Int, start: Int) {
        let size = Int(bytes[offset] & 0xF)
        guard size == 15 else { return (size, offset + 1) }
        try requireRoom(1, at: offset + 1)
        let marker = bytes[offset + 1]
        try require(marker >> 4 == 1 && marker & 0xF <= 3, "a count's size")
        let width = 1 << Int(marker & 0xF)
        try requireRoom(width, at: offset + 2)
        return (try number(at: offset + 2, size: width), offset + 2 + width)
    }

    private func requireRoom(
        _ count: Int, of size: Int = 1, at start: Int
    ) throws(BinaryPropertyList.Malformed) {
        try require(start <= end && count <= (end - start) / size, "an object longer than the file")
    }

    /// A number that counts or names something: below 2^48.
    private func number(at offset: Int, size: Int) throws(BinaryPropertyList.Malformed) -> Int {
        let value = bigEndian(at: offset, size: size)
        try require(value < 1 << 48, "a number that is too large")
        return Int(value)
    }

    private func bigEndian(at offset: Int, size: Int) -> UInt64 {
        bytes[offset..<offset + size].reduce(0) { $0 << 8 | UInt64($1) }
    }

    private func require(
        _ condition: Bool, _ what: @autoclosure () -> String
    ) throws(BinaryPropertyList.Malformed) {
        if !condition {
            throw BinaryPropertyList.Malformed(description: "a property list is damaged: \(what())")
        }
    }
}
