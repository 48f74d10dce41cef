import SessionModel
import Testing
import Wire

private let specs = [
    ParameterSpec(name: "w", shape: [2, 1]), ParameterSpec(name: "b\"\u{e9}", shape: []),
]
private let numbers = Vector.float64([1, -0.0, .leastNonzeroMagnitude])

/// A whole file, as it is written.
private func written(_ vector: Vector = numbers, _ specs: [ParameterSpec] = specs) throws -> [UInt8]
{
    try #require(Representation.safetensors.vectorHead(of: specs, dtype: vector.dtype))
        + vector.bytes
}

private struct Tensor {
    var header: TensorHeader
    var numbers: [UInt8]
}

private func read(_ bytes: [UInt8]) throws -> [String: Tensor] {
    guard let body = try CollectedVector(bytes, as: .safetensors),
        case .tensors(let headers) = body.header
    else { throw WireError.malformed("no tensors") }
    var rest = body.numbers
    var tensors: [String: Tensor] = [:]
    for (name, header) in headers.map({ ($0.name, $0.header) }) {
        let count = header.shape.reduce(header.dtype.size, *)
        tensors[name] = Tensor(header: header, numbers: Array(rest.prefix(count)))
        rest = rest.dropFirst(count)
    }
    #expect(rest.isEmpty && tensors.count == headers.count)
    return tensors
}

@Suite("A vector as a safetensors file")
struct SafetensorsVectorTests {
    @Test("has a tensor a parameter, with its name, shape and numbers")
    func roundTrip() throws {
        for vector in [numbers, .float32([0.1, .infinity, -1])] {
            let tensors = try read(try written(vector))
            #expect(tensors.count == 2)
            let w = try #require(tensors["w"])
            let b = try #require(tensors["b\"\u{e9}"])
            #expect(w.header == TensorHeader(dtype: vector.dtype, shape: [2, 1]))
            #expect(b.header == TensorHeader(dtype: vector.dtype, shape: []))
            #expect(w.numbers + b.numbers == vector.bytes)
        }
    }

    @Test("names tensors by their position where parameters have no names")
    func positions() throws {
        let unnamed = specs.map { ParameterSpec(name: nil, shape: $0.shape) }
        #expect(Set(try read(try written(numbers, unnamed)).keys) == ["0", "1"])
    }

    @Test("has its numbers at a multiple of their size")
    func alignment() throws {
        for count in 1...20 {
            let named = [ParameterSpec(name: String(repeating: "n", count: count), shape: [3])]
            #expect(try written(numbers, named).count % 8 == 0)
        }
    }

    @Test("is refused by the tensor's name when it has numbers of another kind")
    func halves() throws {
        let header = "{\"w\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,2]}}"
        let bytes = [UInt8(header.utf8.count), 0, 0, 0, 0, 0, 0, 0] + utf8(header) + [0, 0]
        #expect(
            throws: WireError.invalid([
                FieldError(field: "w.dtype", reason: "is F16; vectors are F64 or F32")
            ])
        ) { try read(bytes) }
    }

    @Test("is malformed when it is cut off anywhere")
    func truncated() throws {
        let bytes = try written()
        for count in 0..<bytes.count {
            #expect(isMalformed(Array(bytes[..<count])) { try read($0) }, "\(count) bytes")
        }
    }

    @Test("never crashes its reader", arguments: [1, 2])
    func random(seed: UInt64) throws {
        var generator = Seeded(seed: seed)
        let whole = try written()
        for _ in 0..<3000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                bytes[index] = UInt8.random(in: 0...255, using: &generator)
            }
            guard let body = try? CollectedVector(bytes, as: .safetensors) else { continue }
            #expect(body.numbers.count == body.header.byteCount)
        }
    }
}
