import SessionModel

/// Records that were made durable by one sync, as they are in a file of the entry log:
///
///     magic 8 | CRC-32C of the rest 4 | length of the records 4 | generation 8 | number 8 |
///     frames of the generation before 8 | records
///
/// All little-endian. Frames of a generation are numbered from 0.
enum LogFrame {
    struct Header: Equatable {
        var generation: UInt64
        var number: UInt64
        var formerFrames: UInt64
    }

    private static let magic: [UInt8] = Array("lbfgslog".utf8)
    private static let headerBytes = 40
    /// Where the bytes begin that the checksum is over.
    private static let checked = 12

    static func frame(_ header: Header, _ records: some Collection<[UInt8]>) -> [UInt8] {
        let count = records.reduce(0) { $0 + $1.count }
        var frame: [UInt8] = []
        frame.reserveCapacity(headerBytes + count)
        frame += magic
        frame.appendLittleEndian(UInt32(0))
        frame.appendLittleEndian(UInt32(count))
        frame.appendLittleEndian(header.generation)
        frame.appendLittleEndian(header.number)
        frame.appendLittleEndian(header.formerFrames)
        for record in records { frame += record }
        // Sound: within the frame, which is longer than its header.
        let checksum = unsafe frame.withUnsafeBytes {
            unsafe CRC32C.checksum(UnsafeRawBufferPointer(rebasing: $0[checked...]))
        }
        for (index, shift) in stride(from: 0, to: 32, by: 8).enumerated() {
            frame[magic.count + index] = UInt8(truncatingIfNeeded: checksum >> UInt32(shift))
        }
        return frame
    }

    /// The frame that begins at `offset`; nil if none does, or one that isn't whole.
    static func read(
        _ bytes: [UInt8], at offset: Int
    ) -> (header: Header, records: Range<Int>)? {
        let start = offset + headerBytes
        guard start <= bytes.count, bytes[offset..<offset + magic.count].elementsEqual(magic)
        else { return nil }
        func integer<Integer: FixedWidthInteger>(at position: Int, _: Integer.Type) -> Integer {
            let first = offset + position
            return Integer(littleEndianBytes: bytes[first..<first + Integer.bitWidth / 8])
        }
        let count = Int(integer(at: 12, UInt32.self))
        guard count <= bytes.count - start else { return nil }
        // Sound: the range lies in the buffer.
        let checksum = unsafe bytes.withUnsafeBytes {
            let checked = unsafe $0[(offset + checked)..<(start + count)]
            return unsafe CRC32C.checksum(UnsafeRawBufferPointer(rebasing: checked))
        }
        guard checksum == integer(at: 8, UInt32.self) else { return nil }
        let header = Header(
            generation: integer(at: 16, UInt64.self), number: integer(at: 24, UInt64.self),
            formerFrames: integer(at: 32, UInt64.self))
        return (header, start..<start + count)
    }

    /// Where whole frames begin from `offset` on.
    static func starts(_ bytes: [UInt8], from offset: Int) -> [Int] {
        let first = magic[0]
        var starts: [Int] = []
        var position = offset
        while let next = bytes[position...].firstIndex(of: first) {
            if read(bytes, at: next) != nil { starts.append(next) }
            position = next + 1
        }
        return starts
    }
}

/// What a file of the entry log holds.
struct LogGeneration {
    /// 0 if there is nothing new in it.
    private(set) var number: UInt64 = 0
    private(set) var frames: UInt64 = 0
    private(set) var formerFrames: UInt64 = 0
    private(set) var entries: [LoggedEntry] = []

    /// Reads the file up to the frame that was being written when the process ended. Throws
    /// `.corrupt` when it goes on after a frame that is wrong. Generations up to `moved` are
    /// nobody's concern any more.
    init(in file: DiskFile, newerThan moved: UInt64) throws {
        let size = try file.size()
        guard size > 0 else { return }
        let bytes = try unsafe [UInt8](unsafeUninitializedCapacity: size) { room, count in
            // Sound: all of it is filled, or it throws.
            try unsafe file.read(size, into: UnsafeMutableRawBufferPointer(room), at: 0)
            count = size
        }
        var offset = 0
        while let frame = LogFrame.read(bytes, at: offset), frame.header.generation > moved,
            frame.header.number == frames, frames == 0 || frame.header.generation == number
        {
            number = frame.header.generation
            formerFrames = frame.header.formerFrames
            entries += try LoggedEntry.read(bytes[frame.records])
            frames += 1
            offset = frame.records.upperBound
        }
        let wrong = LogFrame.starts(bytes, from: offset).contains { start in
            (LogFrame.read(bytes, at: start)?.header.generation ?? 0) > moved
        }
        if wrong {
            throw StoreError.corrupt(
                "\(file.path) is wrong at byte \(offset), and goes on after it")
        }
    }
}
