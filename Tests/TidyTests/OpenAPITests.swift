import API
import HTTPServer
import HTTPTypes
import Sessions
import Telemetry
import Testing
import Yams

/// openapi.yaml, the routes and the problems change together or not at all.
@Suite("openapi.yaml")
struct OpenAPITests {
    private struct Operation: Hashable, CustomStringConvertible {
        var method: String
        var path: String
        var id: String

        var description: String { "\(method) \(path) \(id)" }
    }

    private func document() throws -> Node {
        try #require(try Yams.compose(yaml: try SourceTree.text(of: "openapi.yaml")))
    }

    private func router() -> Router {
        makeRouter(
            service: SessionService(store: MemoryStore()), metrics: MetricsRegistry(),
            probe: { nil })
    }

    /// Every operation of the document, with what it says.
    private func operations() throws -> [(operation: Operation, node: Node)] {
        let paths = try #require(try document()["paths"]?.mapping)
        var operations: [(Operation, Node)] = []
        for (path, item) in paths {
            for (method, node) in try #require(item.mapping) where method.string != "parameters" {
                let operation = Operation(
                    method: try #require(method.string).uppercased(),
                    path: try #require(path.string),
                    id: try #require(node["operationId"]?.string))
                operations.append((operation, node))
            }
        }
        return operations
    }

    @Test("The routes and the document name the same operations")
    func operationsAgree() throws {
        let documented = Set(try operations().map(\.operation))
        let served = Set(
            router().routes.filter { !pageOperations.contains($0.operationID) }.map {
                Operation(method: $0.method.rawValue, path: $0.pattern, id: $0.operationID)
            })
        #expect(documented.subtracting(served) == [])
        #expect(served.subtracting(documented) == [])
        #expect(Set(documented.map(\.id)).count == documented.count)
    }

    @Test("An operation has a body in the document if it reads one")
    func bodiesAgree() throws {
        let routes = Dictionary(
            uniqueKeysWithValues: router().routes.map { ($0.operationID, $0) })
        for (operation, node) in try operations() {
            let content = node["requestBody"]?["content"]?.mapping
            let documented = Set(content?.keys.compactMap(\.string) ?? [])
            let read = Set(routes[operation.id]?.mediaTypes ?? [])
            #expect(documented == read, "\(operation)")
        }
    }

    @Test("Every operation says what can go wrong everywhere")
    func errors() throws {
        for (operation, node) in try operations() {
            let statuses = Set(node["responses"]?.mapping?.keys.compactMap(\.string) ?? [])
            var expected: Set = ["400", "415", "422", "500", "503", "default"]
            let isOpen = openOperations.contains(operation.id)
            if !isOpen { expected.formUnion(["401", "403"]) }
            if operation.path.contains("{session}") { expected.formUnion(["404", "429"]) }
            if node["requestBody"] != nil { expected.formUnion(["411", "413"]) }
            if operation.method != "GET" { expected.formUnion(["412", "507"]) }
            #expect(statuses.isSuperset(of: expected), "\(operation)")
            #expect((node["security"]?.sequence?.isEmpty == true) == isOpen, "\(operation)")
        }
    }

    @Test("The document names the scope that the server asks for")
    func scopes() throws {
        let routes = Set(router().routes.map(\.operationID))
        #expect(Set(operationScopes.keys).union(openOperations) == routes)
        #expect(openOperations.isDisjoint(with: operationScopes.keys))
        #expect(pageOperations.isSubset(of: openOperations))
        for (operation, node) in try operations() {
            let documented = node["x-lbfgsd-scope"]?.string
            #expect(documented == operationScopes[operation.id]?.rawValue, "\(operation)")
            if documented == "read" { #expect(operation.method == "GET", "\(operation)") }
            if operation.method == "DELETE" { #expect(documented == "delete", "\(operation)") }
        }
    }

    @Test("What is served is the document itself")
    func served() async throws {
        guard
            case .matched(let route, let parameters) = router().resolve(.get, ["openapi.yaml"]),
            case let head = RequestHead(
                method: .get, target: "/openapi.yaml", path: ["openapi.yaml"]),
            case .bytes(let bytes) = await route.handler(
                Request(head: head, pathParameters: parameters, route: route.pattern)
            ).body
        else {
            Issue.record("there is no document")
            return
        }
        #expect(bytes == (try SourceTree.bytes(of: "openapi.yaml")))
    }

    @Test("Every kind of problem is documented, with its status, and has a page")
    func problems() async throws {
        let source = try SourceTree.text(of: "Sources/API/Responses/Problem.swift")
        let start = try #require(source.firstRange(of: "enum Kind")).upperBound
        let end = try #require(source.firstRange(of: "var status")).lowerBound
        let kinds = source[start..<end].split(separator: "\n").compactMap { line -> String? in
            let words = line.split(separator: " ")
            guard words.first == "case", words.count > 1 else { return nil }
            let raw = words.count == 4 ? words[3].dropFirst().dropLast() : words[1]
            return "/problems/" + raw.filter { $0 != "`" }
        }
        try await pages(of: kinds)
        let schema = try document()["components"]?["schemas"]?["Problem"]?["properties"]?["type"]
        let documented = schema?["enum"]?.sequence?.compactMap(\.string) ?? []
        #expect(Set(kinds) == Set(documented) && kinds.count == documented.count)
        let prose = try #require(try document()["info"]?["description"]?.string)
        for kind in kinds { #expect(prose.contains("| [`\(kind)`](\(kind)) |"), "\(kind)") }
    }

    /// Each type leads to a page, and all pages together name the members that the schema has.
    private func pages(of kinds: [String]) async throws {
        let properties = try document()["components"]?["schemas"]?["Problem"]?["properties"]
        let documented = Set(try #require(properties?.mapping).keys.compactMap(\.string))
        var members: Set<String> = ["type", "title", "status", "detail", "request_id"]
        for kind in kinds {
            let page = try #require(try Yams.compose(yaml: try await body(of: kind)))
            #expect(page["type"]?.string == kind)
            #expect(page["meaning"]?.string?.hasSuffix(".") == true, "\(kind)")
            #expect(page["action"]?.string?.hasSuffix(".") == true, "\(kind)")
            members.formUnion(page["members"]?.sequence?.compactMap { $0["name"]?.string } ?? [])
        }
        #expect(members == documented)
    }

    /// What a GET answers.
    private func body(of path: String) async throws -> String {
        let parts = path.split(separator: "/").map(String.init)
        let head = RequestHead(method: .get, target: path, path: parts)
        guard case .matched(let route, let parameters) = router().resolve(.get, parts) else {
            Issue.record("there is nothing at \(path)")
            return ""
        }
        let request = Request(head: head, pathParameters: parameters, route: route.pattern)
        let response = await route.handler(request)
        #expect(response.status == .ok, "\(path)")
        guard case .bytes(let bytes) = response.body else { return "" }
        return String(decoding: bytes, as: UTF8.self)
    }

    @Test("Every reference leads somewhere, and every component is used")
    func references() throws {
        let text = try SourceTree.text(of: "openapi.yaml")
        let used = Set(
            text.split(separator: "'").filter { $0.hasPrefix("#/components/") }.map(String.init))
        var defined: Set<String> = []
        for (group, items) in try #require(try document()["components"]?.mapping)
        where group.string != "securitySchemes" {
            for (name, _) in try #require(items.mapping) {
                defined.insert("#/components/\(group.string ?? "")/\(name.string ?? "")")
            }
        }
        #expect(used == defined)
    }
}
