import DiskLog
import Foundation

/// SplitMix64 (Steele, Lea and Flood 2014): a test's numbers follow from the seed that it prints.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}

/// A directory that is removed afterwards.
func withDirectory(_ body: (String) throws -> Void) throws {
    let directory = NSTemporaryDirectory() + "/disklog-" + UUID().uuidString
    try FileManager.default.createDirectory(
        atPath: directory, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try body(directory)
}

func make(bytes count: Int, _ seed: Int) -> [UInt8] {
    var generator = SeededGenerator(seed: UInt64(seed))
    return (0..<count).map { _ in UInt8(truncatingIfNeeded: generator.next()) }
}

func contents(_ path: String) throws -> [UInt8] {
    Array(try Data(contentsOf: URL(fileURLWithPath: path)))
}

/// Changes the bytes of a file.
func change(_ path: String, _ body: (inout [UInt8]) -> Void) throws {
    var bytes = try contents(path)
    body(&bytes)
    try Data(bytes).write(to: URL(fileURLWithPath: path))
}

func copy(_ directory: String, to copy: String) throws {
    try FileManager.default.copyItem(atPath: directory, toPath: copy)
}

func makeSalt(_ seed: Int) -> LogSalt {
    guard let salt = LogSalt(make(bytes: LogSalt.byteCount, seed)) else {
        preconditionFailure("a salt has \(LogSalt.byteCount) bytes")
    }
    return salt
}

/// A frame of schema version 3: magic, CRC-32C of what follows, length, epoch, number, frames of
/// the epoch before, records.
func makeUnsaltedFrame(_ header: LogFrame.Header, _ records: [[UInt8]]) -> [UInt8] {
    var body: [UInt8] = []
    body.appendLittleEndian(UInt32(records.reduce(0) { $0 + 4 + $1.count }))
    body.appendLittleEndian(header.epoch)
    body.appendLittleEndian(header.number)
    body.appendLittleEndian(header.previousFrames)
    for record in records {
        body.appendLittleEndian(UInt32(record.count))
        body += record
    }
    var frame = Array("lbfgslog".utf8)
    frame.appendLittleEndian(CRC32C.checksum(body))
    return frame + body
}
