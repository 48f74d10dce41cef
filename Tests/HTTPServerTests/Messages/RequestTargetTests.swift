import HTTPServer
import Testing

@Suite("Request target")
struct RequestTargetTests {
    @Test("segments are split before they are decoded")
    func segments() throws {
        #expect(try RequestTarget("/a/b%2Fc/%C3%A9/").path == ["a", "b/c", "é", ""])
        #expect(try RequestTarget("/").path == [""])
        #expect(try RequestTarget("/a//b").path == ["a", "", "b"])
        #expect(try RequestTarget("/a+b").path == ["a+b"])
    }

    @Test("a query is decoded item by item, in order, repeats kept")
    func query() throws {
        let query = try RequestTarget("/x?label=a%3Ab&label=c+d&flag&e=&a=b=c&&").query
        let items = [("label", "a:b"), ("label", "c d"), ("flag", ""), ("e", ""), ("a", "b=c")]
        #expect(query == items.map { QueryItem(name: $0, value: $1) })
    }

    @Test("the absolute form is reduced to its path")
    func absoluteForm() throws {
        #expect(
            try RequestTarget("http://host:1/a?b=c") == RequestTarget("/a?b=c"))
    }

    @Test(
        "ambiguous targets are rejected",
        arguments: [
            "", "*", "a", "http://host", "/%", "/%4", "/%zz", "/a%00b", "/%0a", "/%7F", "/%1f",
            "/%ff", "/%C3", "/a b", "/é", "/a#b", "/a\u{1}", "/?a=%00", "/?%", "/?a=%E9",
        ])
    func rejected(target: String) {
        #expect(throws: RequestRejection.self) { try RequestTarget(target) }
    }

    @Test("a target truncated anywhere is parsed or rejected")
    func truncations() {
        let whole = Array("/v1/s%2F%C3%A9/x?label=k%3Av&q=%41+b".utf8)
        for count in whole.indices {
            let target = String(decoding: whole[..<count], as: UTF8.self)
            _ = try? RequestTarget(target)
        }
    }
}
