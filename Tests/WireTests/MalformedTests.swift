import SessionModel
import Testing
import Wire

private let whole = """
    {"name": "p\\u00e9\\n\\"\\ud83d\\ude00", "labels": {"a": "b", "c": ""}, "dtype": "float32",
     "params": [{"name": "w", "shape": [2, 1], "values": [1, -2.5e-3]}, {"name": "b", "shape": [],
     "values": [0]}], "options": {"lr": 1, "line_search_fn": null, "max_iter": 20}}
    """

@Suite("What is not JSON is malformed")
struct MalformedTests {
    @Test(
        "and is refused as a whole",
        arguments: [
            "", " ", "{", "{]", "nul", "truex", "{\"x0\": [1,]}", "{\"x0\": [1],}",
            "{\"x0\": [NaN]}",
            "{\"x0\": [01]}", "{\"x0\": [-]}", "{\"x0\": [.5]}", "{\"x0\": [1.]}", "{\"x0\": [+1]}",
            "{\"x0\": [0x1]}", "{\"x0\": [1e]}", "{\"x0\": [- 1]}", "{\"x0\" [1]}", "{x0: [1]}",
            "{'x0': [1]}", "{\"x0\": [1] // c\n}", "{\"x0\": [1 2]}", "{\"x0\": [1]} {}",
            "{\"x0\": [1]}x", "{\"name\": \"a\nb\"}", "{\"name\": \"\\x\"}",
            "{\"name\": \"\\u12\"}",
            "{\"name\": \"\\ud800\"}", "{\"name\": \"\\udc00\\ud800\"}",
            "{\"name\": \"\\ud800\\n\"}",
            "{\"name\": \"open", "{\"x0\": [1], \"x0\": [2]}", "{\"unknown\": [01]}", "\u{FEFF}{}",
            "\0", "{}\0",
        ])
    func refused(json: String) {
        #expect(isMalformed(utf8(json), { try CreateRequest(json: $0) }))
    }

    @Test("when it is not UTF-8")
    func notUTF8() {
        #expect(
            isMalformed(
                utf8("{\"name\": \"") + [0xFF] + utf8("\"}"), { try CreateRequest(json: $0) }))
        #expect(isMalformed([0xC3], { try CreateRequest(json: $0) }))
        #expect(
            isMalformed("{}".utf16.flatMap { [UInt8($0), 0] }, { try CreateRequest(json: $0) }))
    }

    @Test("when it is cut off anywhere")
    func truncated() throws {
        let bytes = utf8(whole)
        _ = try CreateRequest(json: bytes)
        for count in 0..<bytes.count {
            #expect(
                isMalformed(Array(bytes[..<count]), { try CreateRequest(json: $0) }),
                "\(count) bytes")
        }
    }

    @Test("when something follows it")
    func trailingJunk() {
        for junk in ["x", "}", "]", ",", "{}", "\"", "1", "\0"] {
            #expect(isMalformed(utf8(whole + junk), { try CreateRequest(json: $0) }), "\(junk)")
        }
    }

    @Test("when it is nested too deeply")
    func tooDeep() {
        let deep = String(repeating: "[", count: 100_000)
        #expect(isMalformed(utf8(deep), { try CreateRequest(json: $0) }))
        #expect(isMalformed(utf8("{\"x0\":" + deep), { try CreateRequest(json: $0) }))
    }

    @Test("and no byte of noise breaks the reader")
    func noise() {
        let bytes = utf8(whole)
        var generator = Seeded(seed: 1)
        for _ in 0..<20_000 {
            var noisy = bytes
            let index = Int.random(in: 0..<noisy.count, using: &generator)
            noisy[index] = UInt8.random(in: 0...255, using: &generator)
            _ = try? CreateRequest(json: noisy)
        }
    }

    @Test(
        "names what stands for a number that is not finite",
        arguments: ["NaN", "nan", "-nan", "nan(0x7f)", "inf", "-inf", "Infinity", "-Infinity"])
    func nonFiniteWords(_ word: String) {
        for text in ["{\"x0\": [\(word)]}", "{\"x0\": [1, \(word)]}"] {
            let byte = text.utf8.count - 2 - word.utf8.count
            let error = WireError.malformed(
                "a number that is not finite, which must be the string \"NaN\", \"Infinity\" or "
                    + "\"-Infinity\", at byte \(byte)")
            #expect(throws: error) { try CreateRequest(json: utf8(text)) }
        }
    }

    @Test("says where")
    func position() {
        #expect(throws: WireError.malformed("no value at byte 8")) {
            try CreateRequest(json: utf8("{\"x0\": [}"))
        }
        #expect(throws: WireError.malformed("unexpected end at byte 6")) {
            try CreateRequest(json: utf8("{\"x0\":"))
        }
        #expect(throws: WireError.malformed("the field \"x0\" comes twice, again at byte 11")) {
            try CreateRequest(json: utf8("{\"x0\": [], \"x0\": []}"))
        }
    }
}
