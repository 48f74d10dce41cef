import SessionModel
import Testing
import Wire

/// What a parser makes of a document.
private struct Outcome: Equatable {
    var document: JSONDocument?
    var text: String

    init(_ read: () throws -> JSONDocument) {
        do {
            let read = try read()
            document = read
            text = "\(read)"
        } catch {
            text = "\(error)"
        }
    }

    /// By the text too, since NaN doesn't equal itself.
    static func == (left: Outcome, right: Outcome) -> Bool {
        left.text == right.text || (left.document != nil && left.document == right.document)
    }
}

private let roomy = JSONLimits(valuesMax: 100_000, stringBytesMax: 1 << 20)

/// Reads the document in pieces that end at `ends`.
private func read(
    _ bytes: [UInt8], _ ends: [Int], limits: JSONLimits = roomy
) throws -> JSONDocument {
    var reader = JSONReader(length: bytes.count, limits: limits)
    var start = 0
    for end in ends + [bytes.count] {
        try append(bytes[start..<end], to: &reader)
        start = end
    }
    return try reader.finish()
}

private func append(_ piece: ArraySlice<UInt8>, to reader: inout JSONReader) throws {
    // Sound: the reader copies what it keeps.
    let failure: WireError? = unsafe piece.withUnsafeBytes { piece in
        do throws(WireError) {
            unsafe try reader.append(piece)
            return nil
        } catch {
            return error
        }
    }
    if let failure { throw failure }
}

private let documents = [
    "", " ", "{", "{]", "}", "]", "nul", "truex", "true", " false ", "null", "tru", "nulx", "fals",
    "{\"a\": [1,]}", "{\"a\": [1],}", "[1 2]", "[NaN]", "[01]", "[-]", "[.5]", "[1.]", "[+1]",
    "[0x1]", "[1e]", "[- 1]", "[1e+]", "[1-2]", "[1.5.5]",
    "[1, -nan]", "[inf, 2]", "[1, 2, Infinity]", "-Infinity", "nan", "[--nan]", "[in]", "[-na",
    "-0", "-", "12", "1e400", "[1e400,1]",
    "{\"a\" [1]}", "{a: 1}", "{'a': 1}", "{\"a\": 1 // c\n}", "{} {}", "[1]x", "\"a\nb\"",
    "\"\\x\"", "\"\\u12\"", "\"\\u12", "\"\\ud800\"", "\"\\udc00\\ud800\"", "\"\\ud800\\n\"",
    "\"\\ud83d\\ude00\"", "\"\\ud83d", "\"open", "\"open\\", "{\"a\": 1, \"a\": 2}",
    "{\"\\u0061\": 1, \"a\": 2}", "\u{FEFF}{}", "\0", "{}\0", "{\"a\": \"\0\"}",
    "[\"NaN\", 1, 2]", "[1, \"NaN\", 2]", "[\"NaN\", \"Infinity\"]", "[1, \"x\", 2]",
    "[1, null, 2]", "[1, [2, 3], 4]", "[1, {\"a\": [2]}, 4]", "[[], [[]], {}]", "[-0, 0, -0.0]",
    "[9007199254740993, 1]", "[1, 9007199254740993]", "[123456789012345678901234567890]",
    "[1.7976931348623157e308, 5e-324, 2.2250738585072014e-308, 0.1, 1e22, 1E-3]",
    "{\"name\": \"p\\u00e9\\n\\\"\\ud83d\\ude00\", \"labels\": {\"a\": \"b\", \"c\": \"\"}, "
        + "\"x\": [1, -2.5e-3], \"lr\": 1, \"f\": null, \"é\": \"日本\"}",
    String(repeating: "[", count: 33), String(repeating: "[", count: 32),
    String(repeating: "{\"a\":", count: 33),
]

@Suite("A document that arrives in pieces")
struct JSONReaderTests {
    @Test("is what the parser makes of the whole, wherever it is cut", arguments: documents)
    func cutAnywhere(text: String) {
        let bytes = utf8(text)
        let whole = Outcome { try JSONDocument(bytes) }
        for first in 0...bytes.count {
            #expect(Outcome { try read(bytes, [first]) } == whole, "cut at \(first)")
        }
        #expect(Outcome { try read(bytes, Array(0..<bytes.count)) } == whole, "byte by byte")
    }

    @Test("is so with bytes that are not UTF-8, and with any byte damaged")
    func damaged() {
        var random = Seeded(seed: 20_261_129)
        for text in documents where text.utf8.count > 4 && text.utf8.count < 400 {
            for _ in 0..<60 {
                var bytes = utf8(text)
                for _ in 0...Int.random(in: 0...1, using: &random) {
                    let place = Int.random(in: 0..<bytes.count, using: &random)
                    switch Int.random(in: 0..<3, using: &random) {
                    case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                    case 1: bytes.remove(at: place)
                    default: bytes.insert(bytes[place], at: place)
                    }
                }
                let whole = Outcome { try JSONDocument(bytes) }
                let cut = Int.random(in: 0...bytes.count, using: &random)
                #expect(Outcome { try read(bytes, [cut]) } == whole, "\(bytes) cut at \(cut)")
                #expect(
                    Outcome { try read(bytes, Array(0..<bytes.count)) } == whole, "\(bytes)")
            }
        }
    }

    @Test("has the same bits in a long vector, with the numbers' memory and little more")
    func longVector() throws {
        var random = Seeded(seed: 4)
        let numbers = (0..<50_000).map { _ in
            let number = Double(bitPattern: random.next())
            return number.isFinite ? number : 0.1
        }
        let list = numbers.map(\.description).joined(separator: ",")
        let bytes = utf8("{\"loss\": 1, \"gradient\": [\(list)]}")
        var reader = JSONReader(length: bytes.count, limits: roomy)
        for start in stride(from: 0, to: bytes.count, by: 4_093) {
            try append(bytes[start..<min(start + 4_093, bytes.count)], to: &reader)
            #expect(reader.memoryBytes < numbers.count * 8 + 16_384)
        }
        let tell = try TellRequest(try reader.finish())
        guard case .evaluated(_, .flat(let gradient)) = tell else {
            Issue.record("no gradient in \(tell)")
            return
        }
        #expect(gradient.map(\.bitPattern) == numbers.map(\.bitPattern))
    }

    @Test("may have more numbers than values in a vector that begins with NaN or an odd integer")
    func longVectorsOfAnyBeginning() throws {
        let few = JSONLimits(valuesMax: 10, stringBytesMax: 100)
        for first in ["\"NaN\"", "9007199254740993", "1"] {
            let rest = (0..<40).map { $0 == 30 ? "\"-Infinity\"" : "\($0).5" }
            let bytes = utf8("{\"x\": [\(([first] + rest).joined(separator: ", "))]}")
            let input = try ParametersDocument(try read(bytes, [7, 60], limits: few)).input
            guard case .flat(let found) = input,
                case .flat(let wanted) =
                    try ParametersDocument(json: bytes).input
            else {
                Issue.record("no numbers")
                return
            }
            #expect(found.map(\.bitPattern) == wanted.map(\.bitPattern), "\(first)")
        }
    }

    @Test("is refused at the limit on its values, with the field that passes it")
    func limits() {
        let few = JSONLimits(valuesMax: 10, stringBytesMax: 100, numbersMax: 50)
        func complaint(_ json: String) -> [FieldError]? {
            complaints(json) { try read($0, [], limits: few) }
        }
        let members = (0..<20).map { "\"k\($0)\": \"v\"" }.joined(separator: ",")
        // The document and the labels are values too.
        #expect(complaint("{\"labels\": {\(members)")?.map(\.field) == ["labels.k8"])
        #expect(complaint("[[[[[[[[[[[")?.map(\.field).count == 1)
        #expect(complaint("{\"x\": [1,2,3,4,5,6,7,8,9,10,11,null")?.map(\.field) == ["x[11]"])
        #expect(complaint("{\"x\": [null,2,3,4,5,6,7,8,9,10")?.map(\.field) == ["x[8]"])
        let long = String(repeating: "1,", count: 51)
        #expect(complaint("{\"x\": [\(long)")?.map(\.field) == ["x[50]"])
        #expect(complaint("{\"a\": \"\(String(repeating: "y", count: 101))\"")?.count == 1)
        #expect(complaint("{\"a\": \"\(String(repeating: "y", count: 98))\"}") == nil)
        #expect(complaint("[1\(String(repeating: "0", count: 5_000))")?.map(\.field) == ["[0]"])
    }

    @Test("is refused before it is whole")
    func refusedEarly() throws {
        var reader = JSONReader(length: 1 << 30, limits: roomy)
        try append(utf8("{\"labels\": {")[...], to: &reader)
        var bytes = 0
        let error = #expect(throws: WireError.self) {
            while bytes < 1 << 24 {
                let member = utf8("\"\(bytes)\": \"v\",")
                bytes += member.count
                try append(member[...], to: &reader)
            }
        }
        #expect("\(String(describing: error))".contains("too many values"))
        #expect(reader.memoryBytes < 32 << 20)
    }
}
