import HTTPServer
import HTTPTypes
import Testing

@Suite("Header fields")
struct HeaderFieldsTests {
    @Test("names are compared without regard to case")
    func names() throws {
        let fields: HeaderFields = [.contentType: "text/csv"]
        #expect(fields[try #require(HTTPField.Name("CONTENT-type"))] == "text/csv")
        #expect(fields[.accept] == nil)
    }

    @Test("fields with one name are one list, in their order")
    func lists() {
        var fields = HeaderFields()
        fields.append(.accept, "text/csv")
        fields.append(.contentType, "application/json")
        fields.append(.accept, "*/*;q=0.1")
        #expect(fields[.accept] == "text/csv, */*;q=0.1")
        #expect(fields.map(\.value) == ["text/csv", "application/json", "*/*;q=0.1"])
    }

    @Test("setting a field leaves one with its name, in the place of the first")
    func setting() {
        var fields: HeaderFields = [.accept: "a", .eTag: "\"1\"", .accept: "b"]
        fields[.accept] = "c"
        #expect(fields == [.accept: "c", .eTag: "\"1\""])
        fields[.accept] = nil
        #expect(fields == [.eTag: "\"1\""])
        fields[.vary] = "Accept"
        #expect(fields == [.eTag: "\"1\"", .vary: "Accept"])
    }
}
