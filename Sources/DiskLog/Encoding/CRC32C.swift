import CLinux

/// CRC-32C (Castagnoli et al. 1993; polynomial 0x1EDC6F41, reflected), the checksum of iSCSI and
/// ext4. It detects every burst of up to 32 wrong bits.
///
/// Where the processor has a CRC-32C instruction, three stretches of the input are processed in
/// parallel, because each instruction's result is available only after three cycles, and combined
/// by tables (Gopal et al. 2011). Elsewhere tables process eight bytes a turn ("slicing by 8",
/// Kounavis and Berry 2008). Both give the same result.
package enum CRC32C {
    private static let polynomial: UInt32 = 0x82F6_3B78
    private static let hasInstruction = clinux_can_crc32c() != 0

    package static func checksum(_ bytes: [UInt8]) -> UInt32 {
        // Sound: the buffer is used within the call.
        unsafe bytes.withUnsafeBytes { unsafe checksum($0) }
    }

    /// Checksum of `buffer`, continued from `before`, the checksum of the bytes that precede it.
    /// The checksum of no bytes is 0.
    package static func checksum(
        _ buffer: UnsafeRawBufferPointer, after before: UInt32 = 0
    ) -> UInt32 {
        if hasInstruction {
            ~(unsafe byInstruction(buffer, from: ~before))
        } else {
            ~(unsafe byTable(buffer, from: ~before))
        }
    }

    /// `checksum`, always by tables.
    package static func tabledChecksum(_ buffer: UnsafeRawBufferPointer) -> UInt32 {
        ~(unsafe byTable(buffer, from: ~0))
    }

    /// How far from the end the one bit lies, of `bitCount` at most, whose flip changes a checksum
    /// by `difference`: 0 is the most significant bit of the last byte. nil if there is none.
    /// O(bits).
    package static func flippedBit(_ difference: UInt32, among bitCount: Int) -> Int? {
        var change = polynomial
        for distance in 0..<bitCount {
            if change == difference { return distance }
            change = change >> 1 ^ (change & 1 == 1 ? polynomial : 0)
        }
        return nil
    }
}

// MARK: - By instruction

extension CRC32C {
    /// The length of each of the three stretches: long enough that combining them costs nothing
    /// noticeable, short enough that all three fit into the first-level cache.
    package static let stretchBytes = 4096

    private static func byInstruction(
        _ buffer: UnsafeRawBufferPointer, from before: UInt32
    ) -> UInt32 {
        guard var bytes = unsafe buffer.bindMemory(to: UInt8.self).baseAddress else {
            return before
        }
        var crc = before
        var rest = buffer.count
        while rest >= 3 * stretchBytes {
            var sums: (UInt32, UInt32, UInt32) = (crc, 0, 0)
            // Sound: three stretches are left, and the tuple holds three sums.
            unsafe withUnsafeMutableBytes(of: &sums) { sums in
                unsafe clinux_crc32c_three(
                    sums.assumingMemoryBound(to: UInt32.self).baseAddress, bytes, stretchBytes)
            }
            crc = skipping(skipping(sums.0) ^ sums.1) ^ sums.2
            unsafe bytes += 3 * stretchBytes
            rest -= 3 * stretchBytes
        }
        // Sound: `rest` bytes are left.
        return unsafe clinux_crc32c(crc, bytes, rest)
    }

    /// The sum continued over `stretchBytes` zero bytes.
    private static func skipping(_ crc: UInt32) -> UInt32 {
        // Sound: each index is a byte plus the start of one of four tables.
        unsafe skips.withUnsafeBufferPointer { table in
            unsafe table[Int(crc & 0xFF)] ^ table[256 + Int(crc >> 8 & 0xFF)]
                ^ table[512 + Int(crc >> 16 & 0xFF)] ^ table[768 + Int(crc >> 24)]
        }
    }

    /// Four tables of 256 entries, one for each byte of a sum. Sums without inversion are linear,
    /// so each entry is the exclusive or of the entries of its bits.
    private static let skips: [UInt32] = {
        let zeros = [UInt8](repeating: 0, count: stretchBytes)
        var table = [UInt32](repeating: 0, count: 4 * 256)
        for part in 0..<4 {
            for bit in 0..<8 {
                // Sound: the buffer is used within the call.
                table[256 * part + (1 << bit)] = unsafe zeros.withUnsafeBytes {
                    unsafe byTable($0, from: 1 << UInt32(8 * part + bit))
                }
            }
            for byte in 1..<256 {
                let lowest = byte & -byte
                table[256 * part + byte] =
                    table[256 * part + lowest] ^ table[256 * part + (byte ^ lowest)]
            }
        }
        return table
    }()
}

// MARK: - By tables

extension CRC32C {
    /// Eight tables of 256 entries, one after the other: entry b of table t is the remainder of
    /// byte b followed by t zero bytes.
    private static let tables: [UInt32] = {
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

    private static func byTable(_ buffer: UnsafeRawBufferPointer, from before: UInt32) -> UInt32 {
        let to = buffer.count
        // Sound: the loops stay within the buffer; table indices are bytes plus a table's start, so
        // below 8 * 256.
        return unsafe tables.withUnsafeBufferPointer { table in
            var crc = before
            var index = 0
            while index + 8 <= to {
                let word = unsafe buffer.loadUnaligned(fromByteOffset: index, as: UInt64.self)
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
            while index < to {
                crc = unsafe crc >> 8 ^ table[Int((crc ^ UInt32(buffer[index])) & 0xFF)]
                index += 1
            }
            return crc
        }
    }
}
