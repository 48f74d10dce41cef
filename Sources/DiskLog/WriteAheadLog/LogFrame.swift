/// The format of a frame: the records that one sync makes durable.
///
///     magic 8 | salt 16 | CRC-32C of all but itself 4 | length of the records 4 | sum 8 |
///     epoch 8 | number 8 | frames of the epoch before 8 | records
///
/// A record is its length (4) and its bytes. All integers are little-endian. The frames of an epoch
/// are numbered from 0. The sum is a second checksum, of what follows it: see `corrected`.
///
/// Frames of schema version 3 and older have another magic, no salt and no sum, and their CRC-32C
/// covers what follows it. They are only read.
package enum LogFrame {
    package struct Header: Equatable {
        package var epoch: UInt64
        package var number: UInt64
        package var previousFrames: UInt64

        package init(epoch: UInt64, number: UInt64, previousFrames: UInt64) {
            self.epoch = epoch
            self.number = number
            self.previousFrames = previousFrames
        }
    }

    package static let magic: [UInt8] = Array("lbfgswal".utf8)
    package static let unsaltedMagic: [UInt8] = Array("lbfgslog".utf8)
    package static let headerBytes = 64
    static let checksumOffset = 24
    static let countOffset = 28
    static let sumOffset = 32
    /// The first byte that the sum covers.
    static let summedOffset = 40
    private static let unsaltedHeaderBytes = 40
    private static let lengthBytes = 4

    package static func encode(
        _ header: Header, _ records: [[UInt8]], salt: LogSalt
    ) -> [UInt8] {
        let count = records.reduce(0) { $0 + lengthBytes + $1.count }
        var frame: [UInt8] = []
        frame.reserveCapacity(headerBytes + count)
        frame += magic
        frame += salt.bytes
        frame.appendLittleEndian(UInt32(0))
        frame.appendLittleEndian(UInt32(count))
        frame.appendLittleEndian(UInt64(0))
        frame.appendLittleEndian(header.epoch)
        frame.appendLittleEndian(header.number)
        frame.appendLittleEndian(header.previousFrames)
        for record in records {
            frame.appendLittleEndian(UInt32(record.count))
            frame += record
        }
        frame.setLittleEndian(sum(of: frame, at: 0..<frame.count), at: sumOffset)
        frame.setLittleEndian(checksum(of: frame, at: 0..<frame.count), at: checksumOffset)
        return frame
    }

    /// The frame that begins at `offset`: its header, and where its records lie. nil if no whole
    /// frame with this salt begins there.
    /// - Parameter salt: nil for frames of schema version 3 and older.
    package static func decode(
        _ bytes: [UInt8], at offset: Int, salt: LogSalt?
    ) -> (header: Header, records: Range<Int>)? {
        guard let salt else { return decodeUnsalted(bytes, at: offset) }
        guard let claimed = claimedFrame(bytes, at: offset, salt: salt),
            claimed.records.upperBound <= bytes.count
        else { return nil }
        let range = offset..<claimed.records.upperBound
        var reader = LittleEndianReader(bytes[(offset + checksumOffset)...])
        guard checksum(of: bytes, at: range) == reader.integer(UInt32.self) else { return nil }
        return claimed
    }

    /// What a frame's header says, unchecked; the records may end beyond `bytes`. nil if there is
    /// no header, or its magic or salt is another.
    static func claimedFrame(
        _ bytes: [UInt8], at offset: Int, salt: LogSalt
    ) -> (header: Header, records: Range<Int>)? {
        guard hasPrefix(bytes, at: offset, salt: salt) else { return nil }
        var reader = LittleEndianReader(bytes[(offset + countOffset)...])
        guard let count = reader.integer(UInt32.self), reader.integer(UInt64.self) != nil,
            let epoch = reader.integer(UInt64.self), let number = reader.integer(UInt64.self),
            let previousFrames = reader.integer(UInt64.self)
        else { return nil }
        let start = offset + headerBytes
        let header = Header(epoch: epoch, number: number, previousFrames: previousFrames)
        return (header, start..<start + Int(count))
    }

    private static func hasPrefix(_ bytes: [UInt8], at offset: Int, salt: LogSalt) -> Bool {
        guard offset + headerBytes <= bytes.count else { return false }
        return bytes[offset...].starts(with: magic)
            && bytes[(offset + magic.count)...].starts(with: salt.bytes)
    }

    private static func decodeUnsalted(
        _ bytes: [UInt8], at offset: Int
    ) -> (header: Header, records: Range<Int>)? {
        var reader = LittleEndianReader(bytes[offset...])
        guard reader.bytes(unsaltedMagic.count)?.elementsEqual(unsaltedMagic) == true,
            let stored = reader.integer(UInt32.self),
            let count = reader.integer(UInt32.self).map({ Int($0) }),
            let epoch = reader.integer(UInt64.self), let number = reader.integer(UInt64.self),
            let previousFrames = reader.integer(UInt64.self), count <= reader.rest.count
        else { return nil }
        let start = offset + unsaltedHeaderBytes
        let checkedFrom = offset + unsaltedMagic.count + MemoryLayout<UInt32>.size
        // Sound: the range lies in the buffer.
        let checksum = unsafe bytes.withUnsafeBytes {
            let checked = unsafe $0[checkedFrom..<(start + count)]
            return unsafe CRC32C.checksum(UnsafeRawBufferPointer(rebasing: checked))
        }
        guard checksum == stored else { return nil }
        let header = Header(epoch: epoch, number: number, previousFrames: previousFrames)
        return (header, start..<start + count)
    }

    /// The records of a frame; nil if their lengths do not add up to the frame's.
    package static func records(in bytes: ArraySlice<UInt8>) -> [ArraySlice<UInt8>]? {
        var records: [ArraySlice<UInt8>] = []
        var reader = LittleEndianReader(bytes)
        while !reader.isAtEnd {
            guard let count = reader.integer(UInt32.self), let record = reader.bytes(Int(count))
            else { return nil }
            records.append(record)
        }
        return records
    }

    /// The first whole frame of an epoch newer than `epoch` that begins anywhere from `offset` on.
    package static func nextFrame(
        in bytes: [UInt8], from offset: Int, newerThan epoch: UInt64, salt: LogSalt?
    ) -> (offset: Int, header: Header)? {
        let first = magic[0]
        var position = offset
        while let next = bytes[position...].firstIndex(of: first) {
            if let frame = decode(bytes, at: next, salt: salt), frame.header.epoch > epoch {
                return (next, frame.header)
            }
            position = next + 1
        }
        return nil
    }
}

// MARK: - Checksums

extension LogFrame {
    /// CRC-32C of the frame in `range`, without the checksum itself.
    static func checksum(of bytes: [UInt8], at range: Range<Int>) -> UInt32 {
        precondition(range.count >= headerBytes && range.upperBound <= bytes.count)
        // Sound: both parts lie in the buffer.
        return unsafe bytes.withUnsafeBytes { buffer in
            let before = unsafe UnsafeRawBufferPointer(
                rebasing: buffer[range.lowerBound..<(range.lowerBound + checksumOffset)])
            let after = unsafe UnsafeRawBufferPointer(
                rebasing: buffer[(range.lowerBound + countOffset)..<range.upperBound])
            return unsafe CRC32C.checksum(after, after: CRC32C.checksum(before))
        }
    }

    /// The sum of the frame in `range`: of its 32-bit words w1 ... wn from `summedOffset` on (the
    /// last padded with zeros), n w1 + (n - 1) w2 + ... + wn modulo 2^64 (Fletcher 1982, without
    /// its end-around carry).
    static func sum(of bytes: [UInt8], at range: Range<Int>) -> UInt64 {
        precondition(range.count >= headerBytes && range.upperBound <= bytes.count)
        // Sound: words are loaded within the buffer only.
        return unsafe bytes.withUnsafeBytes { buffer in
            var first: UInt64 = 0
            var second: UInt64 = 0
            var offset = range.lowerBound + summedOffset
            while offset + 4 <= range.upperBound {
                let word = unsafe buffer.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
                first &+= UInt64(UInt32(littleEndian: word))
                second &+= first
                offset += 4
            }
            if offset < range.upperBound {
                for index in offset..<range.upperBound {
                    first &+= UInt64(unsafe buffer[index]) << UInt64(8 * (index - offset))
                }
                second &+= first
            }
            return second
        }
    }
}
