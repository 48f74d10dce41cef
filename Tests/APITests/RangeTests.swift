import API
import HTTPServer
import HTTPTypes
import Testing

@Suite("Parts of answers")
struct RangeTests {
    private let harness = Harness()

    /// Those that can be had in parts.
    private static let targets = ["/params", "/evaluation", "/state-dict"]

    @Test("are those that Range asks for", arguments: targets)
    func parts(target: String) async throws {
        let path = try await harness.create() + target
        let whole = try await harness.call(.get, path)
        #expect(whole["Accept-Ranges"] == "bytes" && whole["Content-Range"] == nil)
        let count = whole.text.utf8.count
        for (field, first, last) in [
            ("bytes=0-0", 0, 0), ("bytes=2-5", 2, 5), ("bytes=7-", 7, count - 1),
            ("bytes=-4", count - 4, count - 1), ("bytes=1-999999", 1, count - 1),
            ("bytes=-999999", 0, count - 1),
            ("BYTES= 3-99999999999999999999999 ", 3, count - 1),
        ] {
            let part = try await harness.call(.get, path, headers: ["Range": field])
            #expect(part.status == 206, "\(field)")
            #expect(Array(part.text.utf8) == Array(Array(whole.text.utf8)[first...last]))
            #expect(part["Content-Range"] == "bytes \(first)-\(last)/\(count)")
            #expect(part["ETag"] == whole["ETag"])
        }
    }

    @Test(
        "are the whole where Range asks for several, or for nothing that can be read",
        arguments: [
            "bytes=0-1,3-4", "bytes=", "bytes=-", "bytes=4-3", "bytes=a-", "bytes=1", "lines=0-1",
            "bytes", "", "bytes=--1", "bytes=0-1-2", "bytes=0 -1",
        ])
    func whole(field: String) async throws {
        let path = try await harness.create() + "/params"
        let answer = try await harness.call(.get, path, headers: ["Range": field])
        #expect(answer.status == 200 && answer["Content-Range"] == nil)
    }

    @Test("are refused when there are none", arguments: ["bytes=9999-", "bytes=-0"])
    func none(field: String) async throws {
        let path = try await harness.create() + "/params"
        let count = try await harness.call(.get, path).text.utf8.count
        let answer = try await harness.call(.get, path, headers: ["Range": field])
        #expect(answer.status == 416 && answer.problem == "range-not-satisfiable")
        #expect(answer["Content-Range"] == "bytes */\(count)")
        #expect(answer.object["length"] as? Int == count)
    }

    @Test("are of the bytes that If-Range names")
    func ifRange() async throws {
        let path = try await harness.create() + "/params"
        let tag = try #require(try await harness.call(.get, path)["ETag"])
        for (value, status) in [
            (tag, 206), ("W/\(tag)", 200), ("\"other\"", 200), ("*", 200),
            ("\(tag), \(tag)", 200), ("Sun, 06 Nov 1994 08:49:37 GMT", 200),
        ] {
            let answer = try await harness.call(
                .get, path, headers: ["Range": "bytes=0-1", "If-Range": value])
            #expect(answer.status == status, "\(value)")
        }
    }

    @Test("are for GET alone")
    func methods() async throws {
        let path = try await harness.create() + "/params"
        let range = ["Range": "bytes=0-1"]
        #expect(try await harness.call(.head, path, headers: range).status == 200)
        let put = try await harness.call(.put, path, "{\"x\": [3, 4]}", headers: range)
        #expect(put.status == 200 && put["Accept-Ranges"] == nil)
    }

    @Test("have entity tags of the form's own, of which a write takes any")
    func tags() async throws {
        let session = try await harness.create()
        let forms = [
            "application/json", "application/octet-stream", "application/vnd.safetensors",
            "application/x-npy",
        ]
        var tags: Set<String> = []
        for form in forms {
            let answer = try await harness.call(
                .get, session + "/params", headers: ["Accept": form])
            #expect(answer["Content-Type"] == form)
            tags.insert(try #require(answer["ETag"]))
        }
        #expect(tags.count == 4)
        for tag in tags {
            // Begins no step: what is wrong with the body is found after the precondition.
            let answer = try await harness.call(
                .put, session + "/params", "{\"x\": [1]}", headers: ["If-Match": tag])
            #expect(answer.status == 422, "\(tag)")
        }
        for tag in ["\"1.0-gif\"", "\"-npy\"", "\"9.9-npy\""] {
            let answer = try await harness.call(
                .put, session + "/params", "{\"x\": [1]}", headers: ["If-Match": tag])
            #expect(answer.status == 412, "\(tag)")
        }
    }
}
