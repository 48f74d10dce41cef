import SessionModel
import Testing
import Wire

private let specs = [
    ParameterSpec(name: "w", shape: [2, 1]), ParameterSpec(name: "b\"\u{e9}", shape: []),
]
private let numbers = Vector.float64([1, -0.0, .leastNonzeroMagnitude])
private let forms: [Representation] = [.safetensors, .npy]

/// A whole body, as it is written, and how much of it is the header.
private func written(_ form: Representation) throws -> (bytes: [UInt8], head: Int) {
    let head = try #require(form.vectorHead(of: specs, dtype: numbers.dtype))
    return (head + numbers.bytes, head.count)
}

/// What is read from the whole body.
private func read(_ bytes: [UInt8], _ form: Representation) throws -> VectorHeader {
    guard let body = try CollectedVector(bytes, as: form) else {
        throw WireError.malformed("a form without a header")
    }
    return body.header
}

/// What is read from pieces that end at these places, and how many bytes it took.
private func read(
    _ bytes: [UInt8], _ form: Representation, cutAt ends: [Int]
) throws -> (header: VectorHeader, bytes: Int)? {
    var reader = try #require(VectorHeaderReader(form, bodyBytes: bytes.count))
    var taken = 0
    var start = 0
    for end in ends + [bytes.count] {
        // Sound: the buffer is used within the call.
        let (isWhole, count) = try unsafe bytes[start..<end].withUnsafeBytes {
            try unsafe reader.take($0)
        }
        taken += count
        if isWhole {
            #expect(reader.count == taken)
            return (try reader.header(), taken)
        }
        #expect(taken == end, "a piece was left")
        start = end
    }
    return nil
}

private func outcome(_ read: () throws -> VectorHeader?) -> Result<VectorHeader?, WireError> {
    Result { try read() }.mapError { $0 as? WireError ?? .malformed("\($0)") }
}

@Suite("The header of a vector's body")
struct VectorHeaderTests {
    @Test("is the same however it is cut into pieces", arguments: forms)
    func pieces(form: Representation) throws {
        let (bytes, count) = try written(form)
        let whole = try read(bytes, form)
        let cuts = [[], Array(1..<bytes.count)] + (0...bytes.count).map { [$0] }
        for cut in cuts {
            let (header, taken) = try #require(try read(bytes, form, cutAt: cut))
            #expect(header == whole)
            #expect(taken == count, "the numbers are left")
        }
    }

    @Test("says what tensors there are, in the order of their numbers")
    func tensors() throws {
        let (bytes, _) = try written(.safetensors)
        #expect(
            try read(bytes, .safetensors, cutAt: [])?.header
                == .tensors([
                    .init(name: "w", header: TensorHeader(dtype: .float64, shape: [2, 1])),
                    .init(name: "b\"\u{e9}", header: TensorHeader(dtype: .float64, shape: [])),
                ]))
        let (array, _) = try written(.npy)
        #expect(
            try read(array, .npy, cutAt: [])?.header
                == .array(TensorHeader(dtype: .float64, shape: [3])))
    }

    @Test("is wrong as the whole body is when that is cut off anywhere", arguments: forms)
    func truncated(form: Representation) throws {
        let (whole, _) = try written(form)
        for count in 0..<whole.count {
            let bytes = Array(whole[..<count])
            let expected = outcome { try read(bytes, form) }
            for cut in [[], Array(1..<max(1, count)), [count / 2]] {
                #expect(outcome { try read(bytes, form, cutAt: cut)?.header } == expected)
            }
        }
    }

    @Test("is wrong as the whole body is when bytes follow", arguments: forms)
    func trailing(form: Representation) throws {
        let bytes = try written(form).bytes + [0]
        #expect(
            outcome { try read(bytes, form, cutAt: [1, 10])?.header }
                == outcome { try read(bytes, form) })
    }

    @Test("is what the whole body says, whatever its bytes are", arguments: forms, [1, 2, 3])
    func random(form: Representation, seed: UInt64) throws {
        var generator = Seeded(seed: seed)
        let (whole, count) = try written(form)
        for _ in 0..<2000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let index = Int.random(in: 0..<count, using: &generator)
                bytes[index] = UInt8.random(in: 0...255, using: &generator)
            }
            let cut = Int.random(in: 0...bytes.count, using: &generator)
            let expected = outcome { try read(bytes, form) }
            #expect(outcome { try read(bytes, form, cutAt: [cut])?.header } == expected, "\(bytes)")
        }
    }

    @Test("is refused as soon as it says that it is too long")
    func limit() throws {
        var file = try #require(VectorHeaderReader(.safetensors, bodyBytes: 1 << 30))
        var array = try #require(VectorHeaderReader(.npy, bodyBytes: 1 << 30))
        let length: [UInt8] = [1, 0, 0, 1, 0, 0, 0, 0]
        let start: [UInt8] = [0x93] + utf8("NUMPY") + [2, 0, 1, 0, 1, 0]
        // Sound: the buffers are used within the calls.
        #expect(throws: WireError.self) {
            try unsafe length.withUnsafeBytes { try unsafe file.take($0).bytes }
        }
        #expect(throws: WireError.self) {
            try unsafe start.withUnsafeBytes { try unsafe array.take($0).bytes }
        }
    }

    @Test("is of forms that have one")
    func formsWithout() {
        for form in Representation.allCases where !forms.contains(form) {
            #expect(VectorHeaderReader(form, bodyBytes: 100) == nil, "\(form)")
        }
    }
}
