import Foundation
import SessionModel
import Testing

struct BinaryPropertyListTests {
    private struct Sample: Codable, Equatable {
        var numbers = [0.1, -0.0, .infinity, .leastNonzeroMagnitude]
        var counts = [-1, 0, 300, Int.max, Int.min]
        var large = UInt64.max
        var name = "loss \u{3b1}\u{1f600}"
        var bytes = Data(repeating: 7, count: 300)
        var time = Date(timeIntervalSinceReferenceDate: 1.5)
        var nested: [String: [String: Bool]] = ["a": ["b": true], "c": [:]]
        var nothing: Int?
    }

    @Test func valuesComeBack() throws {
        let sample = Sample()
        let bytes = try BinaryPropertyList.encode(sample)
        #expect(try BinaryPropertyList.decode(Sample.self, from: bytes) == sample)
    }

    @Test func whatFoundationWritesIsRead() throws {
        let list: [String: Any] = ["numbers": Array(repeating: 1.5, count: 400), "name": "x"]
        struct Read: Decodable {
            var numbers: [Double]
            var name: String
        }
        let data = try PropertyListSerialization.data(
            fromPropertyList: list, format: .binary, options: 0)
        let read = try BinaryPropertyList.decode(Read.self, from: data)
        #expect(read.numbers.count == 400 && read.name == "x")
    }

    /// A decoder that walks out of the file, or without end, would end the tests.
    @Test func everyFlippedBitAndEveryCutIsRefusedOrRead() throws {
        let bytes = try BinaryPropertyList.encode(Sample())
        var refused = 0
        for bit in 0..<8 * bytes.count {
            var damaged = bytes
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            if (try? BinaryPropertyList.decode(Sample.self, from: damaged)) == nil { refused += 1 }
        }
        #expect(refused > 500)
        for count in bytes.indices {
            #expect(throws: BinaryPropertyList.Malformed.self) {
                try BinaryPropertyList.decode(Sample.self, from: bytes.prefix(count))
            }
        }
    }

    private struct Anything: Decodable {
        init(from decoder: any Decoder) throws {
            var items = try decoder.unkeyedContainer()
            while !items.isAtEnd { _ = try items.decode(Anything.self) }
        }
    }

    /// Objects, the first of which is the top, with offsets and references of one byte.
    private func list(_ objects: [[UInt8]]) -> [UInt8] {
        var bytes = Array("bplist00".utf8)
        var offsets: [UInt8] = []
        for object in objects {
            offsets.append(UInt8(bytes.count))
            bytes += object
        }
        let table = UInt8(bytes.count)
        let trailer: [UInt8] =
            Array(repeating: 0, count: 6) + [1, 1] + Array(repeating: 0, count: 7)
            + [UInt8(objects.count)] + Array(repeating: 0, count: 15) + [table]
        return bytes + offsets + trailer
    }

    @Test(
        arguments: [
            ("an array within itself", [[0xA1, 0]]),
            ("two within each other", [[0xA1, 1], [0xA1, 0]]),
            ("2^24 objects", (0..<24).map { [0xA2, $0 + 1, $0 + 1] } + [[0xA0]]),
            ("a reference beyond the objects", [[0xA1, 1]]),
            ("a key that is no text", [[0xD1, 0, 0]]),
            ("a key twice", [[0xD2, 1, 1, 1, 1], [0x51, 0x61]]),
            ("a count beyond the file", [[0xAF, 0x13, 0, 0, 0xFF, 0, 0, 0, 0, 0]]),
            ("a count that wraps", [[0x4F, 0x13, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]]),
            ("a date that is not a number", [[0x33, 0x7F, 0xF8, 0, 0, 0, 0, 0, 0]]),
            ("a unique identifier", [[0x80, 0]]),
        ] as [(String, [[UInt8]])])
    func malformedListsAreRefused(_ what: String, _ objects: [[UInt8]]) {
        #expect(throws: BinaryPropertyList.Malformed.self, "\(what)") {
            try BinaryPropertyList.decode(Anything.self, from: list(objects))
        }
    }

    @Test func theListsOfTheTestAreWellFormedOtherwise() throws {
        _ = try BinaryPropertyList.decode(Anything.self, from: list([[0xA2, 1, 1], [0xA0]]))
    }
}
