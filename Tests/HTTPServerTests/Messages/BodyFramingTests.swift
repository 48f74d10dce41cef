import HTTPServer
import Testing

@Suite("Body framing")
struct BodyFramingTests {
    @Test("framing that two parsers may read differently is rejected")
    func framing() throws {
        #expect(try BodyFraming(lengths: [], codings: [], isHTTP11: true) == .none)
        #expect(try BodyFraming(lengths: ["0"], codings: [], isHTTP11: true) == .none)
        #expect(try BodyFraming(lengths: ["12"], codings: [], isHTTP11: false) == .sized(12))
        #expect(try BodyFraming(lengths: [], codings: ["Chunked"], isHTTP11: true) == .chunked)
        let rejected: [([String], [String], Bool)] = [
            (["1"], ["chunked"], true), (["1", "1"], [], true), (["1", "2"], [], true),
            ([""], [], true), (["+1"], [], true), (["-1"], [], true), (["0x1"], [], true),
            (["1,1"], [], true), (["99999999999999999999"], [], true), (["١"], [], true),
            ([], ["gzip, chunked"], true), ([], ["identity"], true),
            ([], ["chunked", "chunked"], true),
            ([], ["chunked"], false),
        ]
        for (lengths, codings, isHTTP11) in rejected {
            #expect(throws: RequestRejection.self) {
                try BodyFraming(lengths: lengths, codings: codings, isHTTP11: isHTTP11)
            }
        }
    }
}
