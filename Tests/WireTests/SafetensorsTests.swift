import SessionModel
import Testing
import Wire

/// A file with this header and data.
private func file(_ header: String, data: [UInt8] = []) -> [UInt8] {
    let length = UInt64(header.utf8.count)
    return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + utf8(header) + data
}

private func make() -> Safetensors {
    Safetensors(
        tensors: [
            .init(name: "w", vector: [1, -0.0, .nan, .leastNonzeroMagnitude], as: .float64),
            .init(name: "s", scalar: 0.1),
            .init(name: "none", vector: [], as: .float64),
            .init(name: "b\"\u{e9}", vector: [0.5, .infinity, 3], as: .float32),
        ],
        metadata: ["format": "pt", "text": "a \"quoted\"\n\u{1F600}"])
}

/// The field and the reason of the one complaint; nil when it is malformed or all is well.
private func complaint(_ bytes: [UInt8], headerBytesMax: Int = 1 << 20) -> String? {
    do {
        _ = try Safetensors(bytes: bytes, headerBytesMax: headerBytesMax)
    } catch WireError.invalid(let errors) {
        return errors.map { "\($0.field) \($0.reason)" }.joined(separator: "; ")
    } catch {}
    return nil
}

private func info(_ dtype: String, _ shape: String, _ begin: Int, _ end: Int) -> String {
    "{\"dtype\":\"\(dtype)\",\"shape\":\(shape),\"data_offsets\":[\(begin),\(end)]}"
}

@Suite("A safetensors file")
struct SafetensorsTests {
    @Test("comes back as it went, to the bit")
    func roundTrip() throws {
        let read = try Safetensors(bytes: make().bytes)
        #expect(read.metadata == make().metadata)
        #expect(Set(read.tensors.map(\.name)) == ["w", "s", "none", "b\"\u{e9}"])
        for tensor in make().tensors {
            let other = try #require(read.tensors.first { $0.name == tensor.name })
            #expect(other == tensor)
            #expect(other.doubles.map(\.bitPattern) == tensor.doubles.map(\.bitPattern))
        }
        #expect(try Safetensors(bytes: read.bytes) == read)
    }

    @Test("is written as the reference implementation writes it")
    func reference() {
        let vector = Safetensors.Tensor(name: "attn0", vector: [0, 1, 2], as: .float32)
        #expect(
            Safetensors(tensors: [vector]).bytes
                == file(
                    "{\"attn0\":\(info("F32", "[3]", 0, 12))}     ",
                    data: [0, 0, 0, 0, 0, 0, 0x80, 0x3F, 0, 0, 0, 0x40]))
        #expect(Safetensors(tensors: []).bytes == file("{}      "))
        #expect(
            Safetensors(tensors: [], metadata: ["framework": "pt"]).bytes
                == file("{\"__metadata__\":{\"framework\":\"pt\"}}     "))
    }

    @Test("has every tensor at a multiple of its numbers' size")
    func alignment() throws {
        let bytes = make().bytes
        let header = Int(bytes[0]) + Int(bytes[1]) << 8
        #expect(header % 8 == 0)
        let read = try Safetensors(bytes: bytes)
        #expect(read.tensors.last?.number == .float32)
    }

    @Test("may have half precision, which is widened")
    func halves() throws {
        let header =
            "{\"h\":\(info("F16", "[2,2]", 0, 8)),\"b\":\(info("BF16", "[2]", 8, 12))}"
        let read = try Safetensors(
            bytes: file(
                header, data: [0, 0x3C, 1, 0, 0, 0xFC, 0xFF, 0x7B, 0x80, 0x3F, 0x80, 0xFF]))
        #expect(read.tensors[0].doubles == [1, 5.960464477539063e-08, -.infinity, 65504])
        #expect(read.tensors[0].shape == [2, 2])
        #expect(read.tensors[1].doubles == [1, -.infinity])
    }

    @Test("may list its tensors in any order, those without elements too")
    func order() throws {
        let header =
            "{\"z\":\(info("F32", "[1]", 8, 12)),\"y\":\(info("F64", "[0,9]", 8, 8)),"
            + "\"a\":\(info("F64", "[]", 0, 8)),\"end\":\(info("F64", "[0]", 12, 12))}"
        let read = try Safetensors(bytes: file(header, data: [UInt8](repeating: 0, count: 12)))
        #expect(read.tensors.map(\.name) == ["a", "y", "z", "end"])
        #expect(read.tensors[0].doubles == [0] && read.tensors[1].doubles == [])
    }

    @Test(
        "is refused with the name of the tensor that is wrong",
        arguments: [
            (
                "{\"a\":\(info("F64", "[1]", 0, 8)),\"b\":\(info("F64", "[1]", 4, 12))}", 12,
                "b.data_offsets overlaps a, which ends at byte 8"
            ),
            (
                "{\"a\":\(info("F64", "[1]", 0, 8)),\"b\":\(info("F64", "[1]", 0, 8))}", 8,
                "b.data_offsets overlaps a, which ends at byte 8"
            ),
            (
                "{\"a\":\(info("F64", "[1]", 0, 8)),\"b\":\(info("F64", "[1]", 12, 20))}", 20,
                "b.data_offsets leaves a gap: it begins at byte 12, not 8"
            ),
            (
                "{\"a\":\(info("F64", "[1]", 8, 16))}", 16,
                "a.data_offsets leaves a gap: it begins at byte 8, not 0"
            ),
            (
                "{\"a\":\(info("F64", "[1]", 0, 8))}", 11,
                "body has 3 bytes after the last tensor"
            ),
            ("{}", 1, "body has 1 bytes after the last tensor"),
            (
                "{\"a\":\(info("F64", "[2]", 0, 8))}", 8,
                "a.data_offsets have 8 bytes, and [2] of F64 has 16"
            ),
            (
                "{\"a\":\(info("F64", "[1]", 8, 0))}", 8,
                "a.data_offsets must be a begin and an end, not [8, 0]"
            ),
            (
                "{\"a\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0]}}", 8,
                "a.data_offsets must be a begin and an end, not [0]"
            ),
            (
                "{\"a\":\(info("F64", "[1]", -8, 0))}", 8,
                "a.data_offsets[0] must be at least 0, not -8"
            ),
            (
                "{\"a\":\(info("F64", "[-1]", 0, 8))}", 8,
                "a.shape[0] must be at least 0, not -1"
            ),
            (
                "{\"a\":\(info("F64", "[4611686018427387904,2]", 0, 8))}", 8,
                "a.shape [4611686018427387904, 2] has more elements than there can be"
            ),
            (
                "{\"a\":\(info("I64", "[1]", 0, 8))}", 8,
                "a.dtype must be \"F64\" or \"F32\" or \"F16\" or \"BF16\", not \"I64\""
            ),
            ("{\"a\":{\"dtype\":\"F64\",\"shape\":[]}}", 8, "a.data_offsets is required"),
            (
                "{\"a\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[0,8],\"x\":1}}", 8,
                "a.x is not known"
            ),
            ("{\"a\":3}", 0, "a must be an object, not a number"),
            ("{\"__metadata__\":{\"k\":1}}", 0, "__metadata__.k must be a string, not a number"),
            ("{\"__metadata__\":null}", 0, "__metadata__ must be an object, not null"),
        ])
    func refused(_ header: String, count: Int, expected: String) {
        let bytes = file(header, data: [UInt8](repeating: 0, count: count))
        #expect(complaint(bytes) == expected)
    }

    @Test("has a limit on its header, which is checked before it is read")
    func headerLimit() {
        let bytes = make().bytes
        let header = Int(bytes[0]) + Int(bytes[1]) << 8
        #expect(complaint(bytes, headerBytesMax: header) == nil)
        #expect(
            complaint(bytes, headerBytesMax: header - 1)
                == "header must have at most \(header - 1) bytes, and says that it has \(header)")
        let huge = [UInt8](repeating: 0xFF, count: 8) + utf8("{}")
        #expect(complaint(huge)?.hasSuffix("says that it has 18446744073709551615") == true)
    }

    @Test(
        "is malformed when its header is no JSON object in UTF-8",
        arguments: [
            "", " {}", "[]", "{", "{}x", "{\"a\":1,}", "null",
            "{\"a\":\(info("F64", "[]", 0, 0)),\"a\":\(info("F64", "[]", 0, 0))}",
        ])
    func malformedHeader(_ header: String) {
        #expect(isMalformed(file(header)) { try Safetensors(bytes: $0) })
    }

    @Test("is malformed when its header isn't UTF-8")
    func invalidText() {
        var bytes = file("{\"x\":1}")
        bytes[10] = 0xFF
        #expect(isMalformed(bytes) { try Safetensors(bytes: $0) })
    }

    @Test("is malformed when it is cut off anywhere")
    func truncated() {
        let bytes = make().bytes
        for count in 0..<bytes.count {
            #expect(isMalformed(Array(bytes[..<count])) { try Safetensors(bytes: $0) })
        }
    }

    @Test("never crashes its reader", arguments: [1, 2, 3, 4])
    func random(seed: UInt64) {
        var generator = Seeded(seed: seed)
        let whole = make().bytes
        for _ in 0..<2000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                bytes[index] = UInt8.random(in: 0...255, using: &generator)
            }
            guard let read = try? Safetensors(bytes: bytes) else { continue }
            #expect((try? Safetensors(bytes: read.bytes))?.tensors.count == read.tensors.count)
        }
    }
}
