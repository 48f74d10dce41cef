internal import HTTPServer
internal import HTTPTypes
internal import Wire

/// What the daemon serves to browsers. The page is one client of the API among others: it has no
/// operation of its own, so openapi.yaml doesn't list these.
public let pageOperations: Set = ["getIndex", "getPage", "getPageInFolder", "getPageFile"]

extension Operations {
    /// They need no token: they contain nothing of a session. The page asks its user for one.
    var page: [Route] {
        [
            operation("getIndex", .get, "/", produces: [], handler: getIndex),
            operation("getPage", .get, "/ui", produces: [], handler: getPage),
            operation("getPageInFolder", .get, "/ui/", produces: [], handler: getPageInFolder),
            operation("getPageFile", .get, "/ui/{file}", produces: [], handler: getPageFile),
        ]
    }

    /// Browsers prefer HTML, and are led to the page; programs get the addresses of what is here.
    @Sendable private func getIndex(_ call: Call) async throws -> Response {
        let accept = call.request.head.headerFields[.accept] ?? ""
        let isBrowser = split(accept, at: ",").contains { range in
            trimmed(split(String(range), at: ";")[0]).lowercased() == "text/html"
        }
        let response =
            isBrowser ? redirect(to: "ui") : Response(IndexDocument.json(openAPI: "/openapi.yaml"))
        return response.with(.vary, "Accept")
    }

    @Sendable private func getPage(_ call: Call) async throws -> Response {
        PageFile.all[0].response(to: call)
    }

    @Sendable private func getPageInFolder(_ call: Call) async throws -> Response {
        redirect(to: "../ui")
    }

    @Sendable private func getPageFile(_ call: Call) async throws -> Response {
        let name = call.request.pathParameters["file"] ?? ""
        guard let file = PageFile.all.first(where: { $0.name == name }) else {
            throw Problem(
                .notFound, "There is no file \(call.shortened(name)).",
                members: [("resource", .string("file"))])
        }
        return file.response(to: call)
    }

    /// Relative, so that it holds behind a proxy that serves the daemon below a path.
    private func redirect(to address: String) -> Response {
        Response(status: .found).with(.location, address).with(.cacheControl, "no-cache")
    }
}
