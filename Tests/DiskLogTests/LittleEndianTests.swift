import DiskLog
import Testing

@Suite("Little-endian integers")
struct LittleEndianTests {
    @Test("What was appended is read back, whatever its width and sign")
    func roundTrip() {
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(UInt16(0x0102))
        bytes.appendLittleEndian(Int64(-2))
        bytes.appendLittleEndian(UInt32.max)
        #expect(bytes.prefix(3) == [2, 1, 0xFE])
        bytes.setLittleEndian(UInt16(0x0304), at: 0)
        var reader = LittleEndianReader(bytes[...])
        #expect(reader.integer(UInt16.self) == 0x0304)
        #expect(reader.integer(Int64.self) == -2)
        #expect(reader.integer(UInt32.self) == .max)
        #expect(reader.isAtEnd)
    }

    @Test("A reader that has too few bytes reads nothing and stays where it is")
    func short() {
        var reader = LittleEndianReader([1, 2, 3])
        #expect(reader.integer(UInt32.self) == nil)
        #expect(reader.bytes(4) == nil)
        #expect(reader.bytes(-1) == nil)
        #expect(reader.bytes(2) == [1, 2])
        #expect(reader.byte() == 3)
        #expect(reader.byte() == nil)
    }

    @Test("Chunk checksums do not depend on the regions", arguments: [1, 1000, 1 << 20, 3 << 20])
    func chunks(region: Int) {
        let bytes = [UInt8](repeating: 7, count: 2 << 20 + 5)
        var sums = ChunkChecksums()
        for start in stride(from: 0, to: bytes.count, by: max(region, 4096)) {
            // Sound: the buffer is used within the call.
            unsafe bytes[start..<min(start + max(region, 4096), bytes.count)].withUnsafeBytes {
                unsafe sums.add($0)
            }
        }
        var expected: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: ChunkChecksums.chunkBytes) {
            let chunk = bytes[start..<min(start + ChunkChecksums.chunkBytes, bytes.count)]
            expected.appendLittleEndian(CRC32C.checksum(Array(chunk)))
        }
        #expect(sums.finished() == expected)
    }
}
