import DiskLog
import Testing

@Suite("Frames of the log")
struct LogFrameTests {
    private let header = LogFrame.Header(epoch: 7, number: 0x0102_0304, previousFrames: 9)

    /// Worked out by hand from the format; the checksum is that of the bytes after it.
    @Test("The format on disk is fixed")
    func format() {
        let frame = LogFrame.encode(header, [[0xAA, 0xBB], []])
        let checked: [UInt8] = [
            10, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 4, 3, 2, 1, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0,
            2, 0, 0, 0, 0xAA, 0xBB, 0, 0, 0, 0,
        ]
        let sum = CRC32C.checksum(checked)
        let bytes = (0..<4).map { UInt8(truncatingIfNeeded: sum >> (8 * UInt32($0))) }
        #expect(frame == Array("lbfgslog".utf8) + bytes + checked)
    }

    @Test("A frame is found whole, wherever it begins and whatever follows it")
    func whole() throws {
        let frame = LogFrame.encode(header, [[1, 2, 3], [4]])
        let bytes = [9, 9] + frame + [1, 2, 3]
        let found = try #require(LogFrame.decode(bytes, at: 2))
        #expect(found.header == header)
        let records = try #require(LogFrame.records(in: bytes[found.records]))
        #expect(records.map { Array($0) } == [[1, 2, 3], [4]])
        #expect(LogFrame.hasFrame(in: bytes, from: 0, newerThan: 6))
        #expect(!LogFrame.hasFrame(in: bytes, from: 0, newerThan: 7))
        #expect(!LogFrame.hasFrame(in: bytes, from: 3, newerThan: 6))
    }

    @Test("A frame that ends early is none, at every length")
    func truncated() {
        let frame = LogFrame.encode(header, [[1, 2, 3], [4]])
        for length in 0..<frame.count {
            #expect(LogFrame.decode(Array(frame[..<length]), at: 0) == nil, "\(length) bytes")
        }
    }

    @Test("Records that do not fill their frame are refused")
    func malformed() {
        #expect(LogFrame.records(in: [1, 0, 0]) == nil)
        #expect(LogFrame.records(in: [2, 0, 0, 0, 1]) == nil)
        #expect(LogFrame.records(in: [])?.isEmpty == true)
    }
}
