/// CRC-32C (Castagnoli et al. 1993; polynomial 0x1EDC6F41, reflected) by tables, eight bytes a turn
/// ("slicing by 8", Kounavis and Berry 2008). `DiskLog` has one for files, which takes the
/// processor's instruction from C; this library is Swift alone.
struct CRC32C {
    private static let polynomial: UInt32 = 0x82F6_3B78

    /// Eight tables of 256 entries, one after the other: entry b of table t is the remainder of
    /// byte b followed by t zero bytes.
    private let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var remainder = UInt32(byte)
            for _ in 0..<8 {
                remainder = remainder & 1 == 1 ? remainder >> 1 ^ polynomial : remainder >> 1
            }
            tables[byte] = remainder
        }
        for index in 256..<tables.count {
            let shorter = tables[index - 256]
            tables[index] = shorter >> 8 ^ tables[Int(shorter & 0xFF)]
        }
        return tables
    }()

    /// The checksum of bytes. O(count).
    func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        let count = bytes.count
        // Sound: the loops stay within the bytes; table indices are bytes plus a table's start, so
        // below 8 * 256.
        return unsafe tables.withUnsafeBufferPointer { table in
            var crc = ~UInt32(0)
            var index = 0
            while index + 8 <= count {
                let word = unsafe bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                let mixed = UInt64(littleEndian: word) ^ UInt64(crc)
                let low =
                    unsafe table[7 * 256 + Int(mixed & 0xFF)]
                    ^ table[6 * 256 + Int(mixed >> 8 & 0xFF)]
                    ^ table[5 * 256 + Int(mixed >> 16 & 0xFF)]
                    ^ table[4 * 256 + Int(mixed >> 24 & 0xFF)]
                let high =
                    unsafe table[3 * 256 + Int(mixed >> 32 & 0xFF)]
                    ^ table[2 * 256 + Int(mixed >> 40 & 0xFF)]
                    ^ table[256 + Int(mixed >> 48 & 0xFF)] ^ table[Int(mixed >> 56)]
                crc = low ^ high
                index += 8
            }
            while index < count {
                crc = unsafe crc >> 8 ^ table[Int((crc ^ UInt32(bytes[index])) & 0xFF)]
                index += 1
            }
            return ~crc
        }
    }
}
