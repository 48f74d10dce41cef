// Theory of operation
//
// A frame that was being written when the power failed and one that was damaged later both fail
// their checksum, and where the frame is the newest of its log nothing else tells them apart: no
// later write says that it was whole. A single flipped bit, the usual damage, can be told from a
// torn write, because it can be undone. CRC-32C is linear: the difference between the checksum that
// is stored and the one that is computed depends only on which bits differ. For one bit it is a
// power of x modulo the polynomial, and these powers differ from each other over more bits than a
// frame can have. So the difference names the bit.
//
// A torn frame has some bit for which that works by chance, with a probability of its bits to 2^32.
// The sum, which does not depend on the checksum, must match too after the correction.

extension LogFrame {
    /// Whether the bytes at `offset` are a frame with this salt but for one flipped bit. If so,
    /// that bit is corrected, and its byte's index returned.
    package static func correctBit(
        in bytes: inout [UInt8], at offset: Int, salt: LogSalt
    ) -> Int? {
        guard offset + headerBytes <= bytes.count else { return nil }
        let prefix = magic + salt.bytes
        let wrong = prefix.indices.filter { bytes[offset + $0] != prefix[$0] }
        if let first = wrong.first {
            let difference = bytes[offset + first] ^ prefix[first]
            guard wrong.count == 1, difference.nonzeroBitCount == 1 else { return nil }
            return flip(difference, of: offset + first, in: &bytes, at: offset, salt: salt)
        }
        // The length decides what the checksum is of.
        for bit in 0..<32 {
            let byte = offset + countOffset + bit / 8
            if flip(1 << UInt8(bit % 8), of: byte, in: &bytes, at: offset, salt: salt) != nil {
                return byte
            }
        }
        guard let claimed = claimedFrame(bytes, at: offset, salt: salt),
            claimed.records.upperBound <= bytes.count
        else { return nil }
        let range = offset..<claimed.records.upperBound
        var reader = LittleEndianReader(bytes[(offset + checksumOffset)...])
        let stored = reader.integer(UInt32.self) ?? 0
        let difference = checksum(of: bytes, at: range) ^ stored
        if difference.nonzeroBitCount == 1 {
            let bit = difference.trailingZeroBitCount
            let byte = offset + checksumOffset + bit / 8
            if flip(1 << UInt8(bit % 8), of: byte, in: &bytes, at: offset, salt: salt) != nil {
                return byte
            }
        }
        let bitCount = (range.count - countOffset) * 8
        guard let distance = CRC32C.flippedBit(difference, among: bitCount) else { return nil }
        let byte = range.upperBound - 1 - distance / 8
        return flip(
            0x80 >> UInt8(distance % 8), of: byte, in: &bytes, at: offset, salt: salt)
    }

    /// Flips a bit, and flips it back unless the frame is right then.
    private static func flip(
        _ bit: UInt8, of byte: Int, in bytes: inout [UInt8], at offset: Int, salt: LogSalt
    ) -> Int? {
        bytes[byte] ^= bit
        if let frame = decode(bytes, at: offset, salt: salt) {
            var reader = LittleEndianReader(bytes[(offset + sumOffset)...])
            let sum = sum(of: bytes, at: offset..<frame.records.upperBound)
            if reader.integer(UInt64.self) == sum { return byte }
        }
        bytes[byte] ^= bit
        return nil
    }
}
