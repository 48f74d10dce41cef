/// The first bytes of a snapshot; docs/design/engine-snapshot.md has the whole format.
struct SnapshotHeader {
    static let magic: [UInt8] = [0x8B] + Array("LBFGSD\n".utf8)
    static let versionMax: UInt32 = 1
    static let size = 48
    /// The checksum and four zero bytes before it.
    static let trailerSize = 8

    /// The bytes of each number of a vector: 8 or 4.
    var numberSize: Int
    /// n.
    var count: Int
    var vectorCount: Int
    var pairCount: Int
    var scalarsSize: Int

    init(numberSize: Int, count: Int, vectorCount: Int, pairCount: Int, scalarsSize: Int) {
        self.numberSize = numberSize
        self.count = count
        self.vectorCount = vectorCount
        self.pairCount = pairCount
        self.scalarsSize = scalarsSize
    }

    /// Reads the header, and checks that the bytes are as many and have the checksum that it and
    /// the trailer say. O(count of bytes).
    init(_ bytes: UnsafeRawBufferPointer) throws(SnapshotFormatError) {
        guard bytes.count >= SnapshotHeader.magic.count,
            unsafe bytes.prefix(SnapshotHeader.magic.count)
                .elementsEqual(SnapshotHeader.magic)
        else { throw .unknownFormat }
        var reader = unsafe SnapshotReader(bytes, at: SnapshotHeader.magic.count)
        let version = try reader.integer(UInt32.self)
        guard 1...SnapshotHeader.versionMax ~= version else { throw .version(version) }
        let numberSize = try reader.integer(UInt32.self)
        let count = try reader.integer(UInt64.self)
        let size = try reader.integer(UInt64.self)
        guard size == UInt64(bytes.count),
            bytes.count >= SnapshotHeader.size + SnapshotHeader.trailerSize
        else { throw .wrongSize(expected: size, got: bytes.count) }
        vectorCount = Int(try reader.integer(UInt32.self))
        pairCount = Int(try reader.integer(UInt32.self))
        let scalarsSize = try reader.integer(UInt64.self)
        let covered = bytes.count - SnapshotHeader.trailerSize
        var trailer = unsafe SnapshotReader(bytes, at: covered)
        let stored = try trailer.integer(UInt64.self)
        // Sound: the bytes before the trailer.
        let computed = unsafe CRC32C().checksum(UnsafeRawBufferPointer(rebasing: bytes[..<covered]))
        guard stored == UInt64(computed) else {
            throw .checksum(stored: stored, computed: computed)
        }
        guard numberSize == 8 || numberSize == 4 else {
            throw .layout("has numbers of \(numberSize) bytes")
        }
        // Vectors of n numbers and the scalars are within the bytes.
        guard count >= 1, count <= UInt64(bytes.count) / UInt64(numberSize) else {
            throw .layout("has no room for vectors of \(count) numbers")
        }
        guard scalarsSize <= UInt64(bytes.count) else { throw .scalars("end too early") }
        self.numberSize = Int(numberSize)
        self.count = Int(count)
        self.scalarsSize = Int(scalarsSize)
    }
}

/// Reads the parts of a snapshot in their order. Every part begins at a multiple of eight bytes.
@safe
struct SnapshotReader {
    private let bytes: UnsafeRawBufferPointer
    private var offset: Int

    /// - Parameter offset: Where to begin; within the bytes.
    init(_ bytes: UnsafeRawBufferPointer, at offset: Int) {
        unsafe self.bytes = bytes
        self.offset = offset
    }

    /// How many bytes are left before the trailer.
    var rest: Int { unsafe bytes.count - SnapshotHeader.trailerSize - offset }

    mutating func integer<Value: FixedWidthInteger>(
        _: Value.Type
    ) throws(SnapshotFormatError) -> Value {
        let size = MemoryLayout<Value>.size
        guard unsafe bytes.count - offset >= size else { throw .layout("ends too early") }
        defer { offset += size }
        // Sound: as many bytes are left.
        return Value(
            littleEndian: unsafe bytes.loadUnaligned(fromByteOffset: offset, as: Value.self))
    }

    /// The next `count` bytes, and those after them up to a multiple of eight.
    mutating func part(_ count: Int) throws(SnapshotFormatError) -> UnsafeRawBufferPointer {
        guard count <= rest else { throw .layout("ends too early") }
        // Sound: as many bytes are left.
        let part = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count])
        offset += count
        let padding = -offset & 7
        guard padding <= rest else { throw .layout("ends too early") }
        offset += padding
        return unsafe part
    }

    /// The next `count` numbers.
    mutating func numbers<Number: BitwiseCopyable>(
        _ count: Int, as _: Number.Type
    ) throws(SnapshotFormatError) -> [Number] {
        let (size, overflow) = count.multipliedReportingOverflow(by: MemoryLayout<Number>.size)
        guard !overflow else { throw .layout("ends too early") }
        let part = try unsafe part(size)
        // Sound: both have as many bytes, and any bits are a number.
        return unsafe [Number](unsafeUninitializedCapacity: count) { buffer, initializedCount in
            unsafe UnsafeMutableRawBufferPointer(buffer).copyMemory(from: part)
            unsafe convertLittleEndian(buffer)
            initializedCount = count
        }
    }
}

/// Writes the parts of a snapshot in their order.
@safe
struct SnapshotWriter {
    private let memory: UnsafeMutableRawBufferPointer
    private(set) var offset = 0

    /// - Parameter memory: As large as the parts that are written.
    init(_ memory: UnsafeMutableRawBufferPointer) { unsafe self.memory = memory }

    mutating func integer(_ value: some FixedWidthInteger & BitwiseCopyable) {
        // Traps if the memory is too small, as do the others.
        unsafe memory.storeBytes(of: value.littleEndian, toByteOffset: offset, as: type(of: value))
        offset += value.bitWidth / 8
    }

    mutating func bytes(_ bytes: some Collection<UInt8>) {
        let target = unsafe UnsafeMutableRawBufferPointer(rebasing: memory[offset...])
        unsafe target.copyBytes(from: bytes)
        offset += bytes.count
    }

    mutating func numbers<Number: BitwiseCopyable>(_ numbers: [Number]) {
        let size = numbers.count * MemoryLayout<Number>.stride
        unsafe numbers.withUnsafeBytes {
            let target = unsafe UnsafeMutableRawBufferPointer(
                rebasing: memory[offset..<offset + size])
            unsafe target.copyMemory(from: $0)
            // Sound: the bytes of as many numbers; any bits are a number.
            unsafe target.withMemoryRebound(to: Number.self) { unsafe convertLittleEndian($0) }
        }
        offset += size
    }

    /// Zeros up to a multiple of eight bytes.
    mutating func pad() {
        while offset & 7 != 0 { integer(UInt8(0)) }
    }

    /// The trailer, with the checksum of all bytes before it.
    mutating func finish() {
        let covered = unsafe UnsafeRawBufferPointer(memory)
        let all = unsafe UnsafeRawBufferPointer(rebasing: covered[..<offset])
        unsafe integer(UInt64(CRC32C().checksum(all)))
    }
}

/// Converts numbers between the machine's byte order and little-endian order.
private func convertLittleEndian<Number: BitwiseCopyable>(
    _ numbers: UnsafeMutableBufferPointer<Number>
) {
    guard UInt16(1).littleEndian != 1 else { return }
    let bytes = UnsafeMutableRawBufferPointer(numbers)
    let size = MemoryLayout<Number>.stride
    for start in stride(from: 0, to: bytes.count, by: size) {
        unsafe bytes[start..<start + size].reverse()
    }
}
