import DiskLog
import Testing

@Suite("CRC-32C")
struct CRC32CTests {
    private static func checksums(
        of bytes: ArraySlice<UInt8>, after before: UInt32 = 0
    ) -> (checksum: UInt32, tabled: UInt32) {
        // Sound: the buffer is used within the call.
        unsafe bytes.withUnsafeBytes { buffer in
            (
                unsafe CRC32C.checksum(buffer, after: before),
                unsafe CRC32C.tabledChecksum(buffer)
            )
        }
    }

    /// RFC 3720, B.4, in its order; the first is the usual check value.
    @Test(
        "Known texts have their known sums",
        arguments: [
            (Array("123456789".utf8), 0xE306_9283), ([UInt8](repeating: 0, count: 32), 0x8A91_36AA),
            ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43), (Array(0..<32), 0x46DD_794E),
            (Array((0..<32).reversed()), 0x113F_DB5C), ([], 0),
        ] as [([UInt8], UInt32)])
    func known(bytes: [UInt8], checksum: UInt32) {
        let found = Self.checksums(of: bytes[...])
        #expect(found.checksum == checksum)
        #expect(found.tabled == checksum)
    }

    @Test("The instruction and the tables agree at every length and alignment")
    func agreement() {
        var generator = SystemRandomNumberGenerator()
        let stretches = 3 * CRC32C.stretchBytes
        let bytes = (0..<2 * stretches + 256).map { _ in
            UInt8.random(in: 0...255, using: &generator)
        }
        let lengths =
            Array(0...200) + (-9...9).map { stretches + $0 } + (-9...9).map { 2 * stretches + $0 }
        for start in 0..<16 {
            for length in lengths {
                let found = Self.checksums(of: bytes[start..<start + length])
                #expect(found.checksum == found.tabled, "\(length) bytes at \(start)")
            }
        }
    }

    @Test("A sum goes on where another ended", arguments: [1, 7, 8, 4096, 12_288, 12_289, 30_000])
    func parts(length: Int) {
        let bytes = (0..<40_000).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 3) }
        let first = Self.checksums(of: bytes[..<length]).checksum
        let both = Self.checksums(of: bytes[length...], after: first).checksum
        #expect(both == Self.checksums(of: bytes[...]).tabled)
    }
}
