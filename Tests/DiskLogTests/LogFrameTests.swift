import DiskLog
import Testing

@Suite("Frames of the log")
struct LogFrameTests {
    private let header = LogFrame.Header(epoch: 7, number: 0x0102_0304, previousFrames: 9)
    private let salt = makeSalt(1)

    /// Worked out by hand from the format.
    @Test("The format on disk is fixed")
    func format() {
        let frame = LogFrame.encode(header, [[0xAA, 0xBB], []], salt: salt)
        let summed: [UInt8] = [
            7, 0, 0, 0, 0, 0, 0, 0, 4, 3, 2, 1, 0, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0,
            2, 0, 0, 0, 0xAA, 0xBB, 0, 0, 0, 0,
        ]
        // The words are 7, 0, 0x01020304, 0, 9, 0, 2, 0xBBAA and 0.
        let sum: UInt64 = 9 * 7 + 7 * 0x0102_0304 + 5 * 9 + 3 * 2 + 2 * 0xBBAA
        let checked = [10, 0, 0, 0] + littleEndian(sum) + summed
        let before = Array("lbfgswal".utf8) + salt.bytes
        let checksum = CRC32C.checksum(before + checked)
        #expect(frame == before + littleEndian(checksum) + checked)
    }

    private func littleEndian(_ integer: some FixedWidthInteger) -> [UInt8] {
        (0..<integer.bitWidth / 8).map { UInt8(truncatingIfNeeded: integer >> (8 * $0)) }
    }

    @Test("A frame is found whole, wherever it begins and whatever follows it")
    func whole() throws {
        let frame = LogFrame.encode(header, [[1, 2, 3], [4]], salt: salt)
        let bytes = [9, 9] + frame + [1, 2, 3]
        let found = try #require(LogFrame.decode(bytes, at: 2, salt: salt))
        #expect(found.header == header)
        let records = try #require(LogFrame.records(in: bytes[found.records]))
        #expect(records.map { Array($0) } == [[1, 2, 3], [4]])
        #expect(LogFrame.nextFrame(in: bytes, from: 0, newerThan: 6, salt: salt) != nil)
        #expect(LogFrame.nextFrame(in: bytes, from: 0, newerThan: 7, salt: salt) == nil)
        #expect(LogFrame.nextFrame(in: bytes, from: 3, newerThan: 6, salt: salt) == nil)
    }

    @Test("A frame with another salt is none")
    func salted() {
        let frame = LogFrame.encode(header, [[1, 2, 3], [4]], salt: salt)
        #expect(LogFrame.decode(frame, at: 0, salt: makeSalt(2)) == nil)
        #expect(LogFrame.nextFrame(in: frame, from: 0, newerThan: 6, salt: makeSalt(2)) == nil)
        #expect(LogFrame.decode(frame, at: 0, salt: nil) == nil)
        #expect(LogSalt.random() != LogSalt.random())
        #expect(LogSalt([UInt8](repeating: 0, count: 15)) == nil)
    }

    @Test("A frame that ends early is none, at every length")
    func truncated() {
        let frame = LogFrame.encode(header, [[1, 2, 3], [4]], salt: salt)
        for length in 0..<frame.count {
            let bytes = Array(frame[..<length])
            #expect(LogFrame.decode(bytes, at: 0, salt: salt) == nil, "\(length) bytes")
        }
    }

    @Test("One wrong bit is corrected, whichever it is")
    func corrected() {
        let frame = LogFrame.encode(header, [make(bytes: 90, 3), [4]], salt: salt)
        let around = make(bytes: 200, 4)
        for bit in 0..<frame.count * 8 {
            var bytes = around + frame + around
            bytes[200 + bit / 8] ^= 1 << UInt8(bit % 8)
            let byte = LogFrame.correctBit(in: &bytes, at: 200, salt: salt)
            #expect(byte == 200 + bit / 8, "bit \(bit)")
            #expect(bytes == around + frame + around, "bit \(bit)")
        }
    }

    @Test("Two wrong bits, and every torn end, are left alone", arguments: 1...4)
    func uncorrected(seed: Int) {
        let frame = LogFrame.encode(header, [make(bytes: 700, seed), [4]], salt: salt)
        var generator = SeededGenerator(seed: UInt64(seed))
        func expectUncorrected(_ bytes: [UInt8], _ comment: String) {
            var changed = bytes
            #expect(LogFrame.correctBit(in: &changed, at: 0, salt: salt) == nil, "\(comment)")
            #expect(changed == bytes, "\(comment)")
        }
        for _ in 0..<2_000 {
            var bytes = frame
            let bits = Set(
                (0..<2).map { _ in Int.random(in: 0..<frame.count * 8, using: &generator) })
            guard bits.count == 2 else { continue }
            for bit in bits { bytes[bit / 8] ^= 1 << UInt8(bit % 8) }
            expectUncorrected(bytes, "bits \(bits)")
        }
        for torn in 0..<frame.count - 8 {
            let rest = [UInt8](repeating: 0, count: frame.count - torn)
            expectUncorrected(Array(frame[..<torn]) + rest, "torn at \(torn)")
        }
    }

    /// As daemons of schema version 3 wrote them.
    @Test("A frame without a salt is read where the log has none")
    func unsalted() throws {
        let frame = makeUnsaltedFrame(header, [[0xAA, 0xBB], []])
        let found = try #require(LogFrame.decode([1] + frame, at: 1, salt: nil))
        #expect(found.header == header)
        #expect(found.records == 41..<51)
        #expect(LogFrame.decode(frame, at: 0, salt: salt) == nil)
    }

    @Test("Records that do not fill their frame are refused")
    func malformed() {
        #expect(LogFrame.records(in: [1, 0, 0]) == nil)
        #expect(LogFrame.records(in: [2, 0, 0, 0, 1]) == nil)
        #expect(LogFrame.records(in: [])?.isEmpty == true)
    }
}
