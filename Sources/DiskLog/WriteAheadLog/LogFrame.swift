/// The format of a frame: the records that one sync makes durable.
///
///     magic 8 | CRC-32C of the rest 4 | length of the records 4 | epoch 8 | number 8 |
///     frames of the epoch before 8 | records
///
/// A record is its length (4) and its bytes. All integers are little-endian. The frames of an epoch
/// are numbered from 0.
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

    package static let magic: [UInt8] = Array("lbfgslog".utf8)
    package static let headerBytes = 40
    private static let checksumOffset = 8
    /// The first byte that the checksum covers.
    private static let checkedOffset = 12
    private static let lengthBytes = 4

    package static func encode(_ header: Header, _ records: [[UInt8]]) -> [UInt8] {
        let count = records.reduce(0) { $0 + lengthBytes + $1.count }
        var frame: [UInt8] = []
        frame.reserveCapacity(headerBytes + count)
        frame += magic
        frame.appendLittleEndian(UInt32(0))
        frame.appendLittleEndian(UInt32(count))
        frame.appendLittleEndian(header.epoch)
        frame.appendLittleEndian(header.number)
        frame.appendLittleEndian(header.previousFrames)
        for record in records {
            frame.appendLittleEndian(UInt32(record.count))
            frame += record
        }
        // Sound: the frame is longer than its header.
        let checksum = unsafe frame.withUnsafeBytes {
            unsafe CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[checkedOffset...]))
        }
        frame.setLittleEndian(checksum, at: checksumOffset)
        return frame
    }

    /// The frame that begins at `offset`: its header, and where its records lie. nil if no whole
    /// frame begins there.
    package static func decode(
        _ bytes: [UInt8], at offset: Int
    ) -> (header: Header, records: Range<Int>)? {
        var reader = LittleEndianReader(bytes[offset...])
        guard reader.bytes(magic.count)?.elementsEqual(magic) == true,
            let stored = reader.integer(UInt32.self),
            let count = reader.integer(UInt32.self).map({ Int($0) }),
            let epoch = reader.integer(UInt64.self), let number = reader.integer(UInt64.self),
            let previousFrames = reader.integer(UInt64.self), count <= reader.rest.count
        else { return nil }
        let start = offset + headerBytes
        // Sound: the range lies in the buffer.
        let checksum = unsafe bytes.withUnsafeBytes {
            let checked = unsafe $0[(offset + checkedOffset)..<(start + count)]
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

    /// Whether a whole frame of an epoch newer than `epoch` begins anywhere from `offset` on.
    package static func hasFrame(
        in bytes: [UInt8], from offset: Int, newerThan epoch: UInt64
    ) -> Bool {
        let first = magic[0]
        var position = offset
        while let next = bytes[position...].firstIndex(of: first) {
            if let frame = decode(bytes, at: next), frame.header.epoch > epoch { return true }
            position = next + 1
        }
        return false
    }
}
