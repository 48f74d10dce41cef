import SessionModel
import Testing
import Wire

/// A file of this version with this header and data.
private func file(_ header: String, data: [UInt8] = [], version: UInt8 = 1) -> [UInt8] {
    let length = header.utf8.count
    let bytes = (0..<(version == 1 ? 2 : 4)).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) }
    return [0x93] + utf8("NUMPY") + [version, 0] + bytes + utf8(header) + data
}

private func header(_ descr: String, _ order: String, _ shape: String) -> String {
    "{'descr': \(descr), 'fortran_order': \(order), 'shape': \(shape), }"
}

private func header(_ shape: String) -> String { header("'<f8'", "False", shape) }

private let numbers = Vector.float64([1, -0.0, .leastNonzeroMagnitude])

/// A whole file, as it is written.
private func written(_ vector: Vector = numbers) throws -> [UInt8] {
    let specs = [ParameterSpec(name: "w", shape: [vector.count])]
    let head = try #require(Representation.npy.vectorHead(of: specs, dtype: vector.dtype))
    return head + vector.bytes
}

private func read(_ bytes: [UInt8]) throws -> (header: TensorHeader, numbers: [UInt8]) {
    guard let body = try CollectedVector(bytes, as: .npy), case .array(let header) = body.header
    else { throw WireError.malformed("not an array") }
    return (header, Array(body.numbers))
}

private func complaint(_ bytes: [UInt8]) -> String? {
    do {
        _ = try read(bytes)
    } catch WireError.invalid(let errors) {
        return errors.map { "\($0.field) \($0.reason)" }.joined(separator: "; ")
    } catch {}
    return nil
}

@Suite("An array in NumPy's format")
struct NpyTests {
    @Test("comes back as it went, to the bit")
    func roundTrip() throws {
        for vector in [numbers, .float32([0.1, .infinity])] {
            let array = try read(try written(vector))
            #expect(array.header == TensorHeader(dtype: vector.dtype, shape: [vector.count]))
            #expect(array.numbers == vector.bytes)
        }
    }

    @Test("is written as NumPy writes it", arguments: [1, 9, 10, 99, 100_000_000])
    func reference(count: Int) throws {
        let specs = [ParameterSpec(name: nil, shape: [count])]
        let head = try #require(Representation.npy.vectorHead(of: specs, dtype: .float32))
        let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(count),), }"
        #expect(head.count == 128)
        let padded = text + String(repeating: " ", count: 117 - text.utf8.count) + "\n"
        #expect(head == file(padded))
    }

    @Test(
        "may be of any version and shape, and its header spaced otherwise",
        arguments: [
            (header("(2,)"), [2]), (header("(2, 1)"), [2, 1]), (header("(1,2,1)"), [1, 2, 1]),
            ("{\"shape\":(2,),\"fortran_order\":False,\"descr\":\"<f8\"}", [2]),
            (header("'<f8'", "True", "(2,)") + "   \n", [2]), (" { } ", []),
        ])
    func forms(text: String, shape: [Int]) throws {
        for version in [1, 2, 3] as [UInt8] {
            let bytes = file(text, data: [UInt8](repeating: 0, count: 16), version: version)
            if shape.isEmpty {
                #expect(complaint(bytes) == "descr is required: a string")
            } else {
                #expect(try read(bytes).header.shape == shape)
            }
        }
        #expect(try read(file(header("()"), data: utf8("12345678"))).header.shape == [])
        #expect(try read(file(header("(3, 0)"))).numbers.isEmpty)
    }

    @Test(
        "is refused with the field of its header that is wrong",
        arguments: [
            (header("'>f8'", "False", "(2,)"), "descr must be '<f8' or '<f4', not '>f8'"),
            (header("'|O'", "False", "(2,)"), "descr must be '<f8' or '<f4', not '|O'"),
            (header("'f8'", "False", "(2,)"), "descr must be '<f8' or '<f4', not 'f8'"),
            (header("(8,)", "False", "(2,)"), "descr is required: a string"),
            (
                header("[('a', '<f8')]", "False", "(2,)"),
                "descr must be '<f8' or '<f4', not a structured type"
            ),
            (
                header("'<f8'", "True", "(2, 1)"),
                "fortran_order must be False: numbers are row-major, as after ascontiguousarray"
            ),
            (header("'<f8'", "'no'", "(2,)"), "fortran_order is required: True or False"),
            (header("'<f8'", "False", "'2'"), "shape is required: a tuple of whole numbers"),
            (header("(1,)"), "body has 8 bytes after the last number"),
            (
                header("(9223372036854775808,)"),
                "shape has a dimension that does not fit in 64 bits"
            ),
            (
                header("(9223372036854775807, 2)"),
                "shape [9223372036854775807, 2] has more elements than there can be"
            ),
            (
                header("(2305843009213693952,)"),
                "shape [2305843009213693952] has more elements than there can be"
            ),
            ("{'descr': '<f8', 'shape': (2,), 'x': True}", "x is not known"),
        ])
    func refused(text: String, expected: String) {
        #expect(complaint(file(text, data: [UInt8](repeating: 0, count: 16))) == expected)
    }

    @Test(
        "is malformed when its header is no dict as NumPy writes it",
        arguments: [
            "", "{", "}", "None", "{'descr'}", "{'descr': }", "{'descr': '<f8' 'shape': (2,)}",
            "{'descr': '<f8'", "{'descr: '<f8'}", "{'descr': '<f8', 'descr': '<f8'}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (2,)} x",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (2)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (-2,)}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 1}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (, )}",
            "{'descr': '<f8', 'fortran_order': False, 'shape': (2,, )}",
            "{'descr': '<f8', 'fortran_order': Falsehood, 'shape': (2,)}",
            "{'descr': '<f8', 'fortran_order': 0, 'shape': (2,)}", "{'\u{e9}': True}",
            "{'a\\'b': True}", "{,}", "{'a': True,,}",
        ])
    func malformed(text: String) {
        #expect(isMalformed(file(text, data: [UInt8](repeating: 0, count: 16))) { try read($0) })
    }

    @Test("has a limit on its header, which is checked before it is read")
    func headerLimit() {
        let huge = [0x93] + utf8("NUMPY") + [2, 0, 0xFF, 0xFF, 0xFF, 0xFF] + utf8("{}")
        #expect(
            complaint(huge)
                == "header must have at most 65536 bytes, and says that it has 4294967295")
    }

    @Test(
        "is malformed when its version is another", arguments: [(0, 0), (4, 0), (1, 1), (255, 0)])
    func version(major: UInt8, minor: UInt8) throws {
        var bytes = try written()
        bytes[6] = major
        bytes[7] = minor
        #expect(isMalformed(bytes) { try read($0) })
    }

    @Test("is malformed when it is cut off anywhere")
    func truncated() throws {
        let bytes = try written()
        for count in 0..<bytes.count {
            #expect(isMalformed(Array(bytes[..<count])) { try read($0) }, "\(count) bytes")
        }
    }

    @Test("never crashes its reader", arguments: [1, 2, 3, 4])
    func random(seed: UInt64) throws {
        var generator = Seeded(seed: seed)
        let whole = try written()
        for _ in 0..<5000 {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                let index = Int.random(in: 0..<bytes.count, using: &generator)
                bytes[index] = UInt8.random(in: 0...255, using: &generator)
            }
            guard let array = try? read(bytes) else { continue }
            #expect(
                array.numbers.count == array.header.shape.reduce(array.header.dtype.size, *))
        }
    }
}
