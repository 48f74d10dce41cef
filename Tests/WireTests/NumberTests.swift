import Sessions
import Testing
import Wire

private let odd: [Double] = [
    0, -0.0, 1, -1, 0.1, 1 / 3, .pi, .leastNonzeroMagnitude, -.leastNonzeroMagnitude,
    .leastNormalMagnitude, .leastNormalMagnitude.nextDown, .greatestFiniteMagnitude,
    -.greatestFiniteMagnitude, 1e22, 1e23, 9_007_199_254_740_994, 1e15, 1e16,
    123_456_789_012_345_680,
]

private func tell(_ gradient: [Double]) throws -> [Double] {
    let numbers = gradient.map { value in
        if value.isNaN { return "\"NaN\"" }
        if value.isInfinite { return value < 0 ? "\"-Infinity\"" : "\"Infinity\"" }
        return value.description
    }
    let json = "{\"loss\": 1, \"gradient\": [\(numbers.joined(separator: ","))]}"
    guard case .evaluated(_, .flat(let read)) = try TellRequest(json: utf8(json)) else {
        Issue.record("not a flat gradient")
        return []
    }
    return read
}

/// x as a client gets it: through a session, and written by it.
private func written(_ values: [Double], as dtype: DType = .float64) async throws -> String {
    let service = SessionService(store: MemoryStore())
    var request = CreateRequest(parameters: [
        ParameterInput(name: nil, shape: [values.count], values: values)
    ])
    request.dtype = dtype
    let id = try await service.create(request).value.record.id
    return text(try await service.withSession(id) { try await $0.parameters() }.json)
}

private func flat(_ document: ParametersDocument) -> [Double] {
    guard case .named(let named) = document.input else { return [] }
    return (named["0"] ?? nil) ?? []
}

@Suite("Numbers keep their bits")
struct NumberBitsTests {
    @Test("when they are read")
    func read() throws {
        #expect(try tell(odd).map(\.bitPattern) == odd.map(\.bitPattern))
    }

    @Test("when they are written and read again")
    func writtenAndRead() async throws {
        let json = try await written(odd)
        let read = flat(try ParametersDocument(json: utf8(json)))
        #expect(read.map(\.bitPattern) == odd.map(\.bitPattern))
    }

    @Test("as long digits, with zeros before them, and as integers no Float64 is exactly")
    func long() throws {
        let texts = [
            "0.0000000012345678901234567", "12345678", "123456789", "1234567.12345678",
            "1234567890123456789", "12345678901234567890", "0.12345678e-3", "9007199254740993",
            "-1e0", "0.00000000", "1E+2", "1e-300",
        ]
        let json = "{\"loss\": 1, \"gradient\": [\(texts.joined(separator: " , "))]}"
        guard case .evaluated(_, .flat(let read)) = try TellRequest(json: utf8(json)) else {
            Issue.record("not a flat gradient")
            return
        }
        #expect(read.map(\.bitPattern) == texts.compactMap { Double($0)?.bitPattern })
    }

    @Test(
        "what only begins like a number is refused in a vector too",
        arguments: [
            "01", "00000000", "-", "-01", "1.", "1.e3", ".5", "+1", "1e", "1e+", "12345678x", "1 2",
            "0x10", "1.5.2", "12345678/", "1234567:",
        ])
    func malformed(_ number: String) {
        #expect(throws: WireError.self) {
            try TellRequest(json: utf8("{\"loss\": 1, \"gradient\": [1, \(number)]}"))
        }
    }

    @Test("however many digits say them: as the system's conversion reads the same text")
    func decimals() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = Seeded(seed: seed)
        var texts = ["1e-400", "0e999", "-0e5", "9007199254740993.0", "0.00000000000000000001e-1"]
        for _ in 0..<5_000 {
            let digits =
                UInt64.random(in: 0...UInt64.max, using: &generator)
                >> UInt64.random(in: 0..<64, using: &generator)
            texts.append("\(digits)e\(Int.random(in: -330...280, using: &generator))")
            texts.append("-0.\(digits)\(digits)E+3")
            // Halfway between two numbers, and a little beside.
            let significand = UInt64.random(in: 1 << 52..<1 << 53, using: &generator)
            let shift = UInt64.random(in: 0..<9, using: &generator)
            let halfway = (2 * significand + 1) << shift
            texts += ["\(halfway).0", "\(halfway + 1).0", "\(halfway - 1).0", "\(halfway).00001"]
        }
        let json = "{\"loss\": 1, \"gradient\": [\(texts.joined(separator: ","))]}"
        guard case .evaluated(_, .flat(let read)) = try TellRequest(json: utf8(json)) else {
            Issue.record("not a flat gradient")
            return
        }
        for (text, number) in zip(texts, read) where number.bitPattern != Double(text)?.bitPattern {
            Issue.record("\(text) was read as \(number), seed \(seed)")
        }
    }

    @Test("whatever bits they are")
    func random() async throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = Seeded(seed: seed)
        let values = (0..<20_000).map { _ in
            Double(bitPattern: UInt64.random(in: 0...UInt64.max, using: &generator))
        }.filter(\.isFinite)
        let read = flat(try ParametersDocument(json: utf8(try await written(values))))
        #expect(read.map(\.bitPattern) == values.map(\.bitPattern), "seed \(seed)")
    }

    @Test("of Float32 too, written as the Float64 that each is")
    func float32() async throws {
        let json = try await written([0.1, -0.0, 16_777_217], as: .float32)
        #expect(json.contains("[0.10000000149011612,-0.0,16777216.0]"))
    }

    @Test("and minus zero has a point, without which many readers drop its sign")
    func minusZero() async throws {
        #expect(try await written([-0.0]).contains("[-0.0]"))
        #expect(try tell([-0.0]).map(\.sign) == [.minus])
        let bare = try TellRequest(json: utf8("{\"loss\": -0, \"gradient\": []}"))
        guard case .evaluated(let loss, _) = bare else { return }
        #expect(loss.sign == .minus)
    }

    @Test("and tiny ones round to zero instead of failing")
    func underflow() throws {
        let request = try CreateRequest(json: utf8("{\"x0\": [1e-400, -1e-400]}"))
        #expect(request.parameters[0].values.list?.map(\.bitPattern) == [0, (-0.0).bitPattern])
    }
}

@Suite("Numbers that are not finite are strings")
struct NonFiniteTests {
    @Test(
        "wherever they stand in an array",
        arguments: [
            [Double.nan], [1, .nan], [.nan, 1], [.infinity, -.infinity],
            [1, .infinity, 2, -.infinity],
        ])
    func inArray(gradient: [Double]) throws {
        let read = try tell(gradient)
        #expect(read.count == gradient.count)
        for (left, right) in zip(read, gradient) {
            #expect(left == right || (left.isNaN && right.isNaN))
        }
    }

    @Test("as a loss")
    func asLoss() throws {
        let tell = try TellRequest(json: utf8("{\"loss\": \"-Infinity\", \"gradient\": [0]}"))
        #expect(tell == .evaluated(loss: -.infinity, gradient: .flat([0])))
    }

    @Test("but stay names where names are wanted")
    func names() throws {
        let json = """
            {"state": {}, "param_groups": [{"params": [0, 1], "param_names": ["NaN", "Infinity"]}]}
            """
        #expect(try StateDict(json: utf8(json)).groups[0].paramNames == ["NaN", "Infinity"])
    }
}

@Suite("Whole numbers")
struct WholeNumberTests {
    @Test(
        "may have a point, and all 64 bits",
        arguments: [("20", 20), ("20.0", 20), ("2e1", 20), ("4611686018427387904", 1 << 62)])
    func spellings(text: String, value: Int) throws {
        let update = try UpdateRequest(json: utf8("{\"options\": {\"max_iter\": \(text)}}"))
        #expect(update.options?.maxIterations == value)
    }
}
