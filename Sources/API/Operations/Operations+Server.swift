internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Telemetry
internal import Wire

extension Operations {
    /// Operations for operators and tools. Probes and scrapers get the one representation there is,
    /// whatever their Accept field says.
    var server: [Route] {
        [
            operation("getLimits", .get, "/v1/limits", handler: getLimits),
            operation("getLiveness", .get, "/livez", produces: [], handler: getLiveness),
            operation("getReadiness", .get, "/readyz", produces: [], handler: getReadiness),
            operation("getMetrics", .get, "/metrics", produces: [], handler: getMetrics),
            operation(
                "getOpenAPIDocument", .get, "/openapi.yaml", produces: [],
                handler: getOpenAPIDocument),
            operation(
                "getDocumentation", .get, "/docs", produces: [], handler: getDocumentation),
            operation(
                "getProblemType", .get, "/problems/{problem}", produces: [.json, .html],
                handler: getProblemType),
        ]
    }

    @Sendable private func getLimits(_ call: Call) async throws -> Response {
        var server = ServerLimits()
        server.connectionsMax = configuration.connectionsPossible
        server.connectionsPerAddressMax = configuration.connectionsPerAddressMax
        server.bodyBytesMax = bodies.small
        server.vectorBodyBytesMax = bodies.vector
        server.stateBodyBytesMax = bodies.state
        server.sessionFileBytesMax = bodies.sessionFile
        server.bodyBytesInFlightMax = configuration.bodyBytesInFlightMax
        server.responseBytesInFlightMax = configuration.responseBytesInFlightMax
        server.bytesInFlightPerAddressMax = configuration.bytesInFlightPerAddressMax
        let usage = try await service.usage(of: call.caller.tenant)
        return Response(service.limits.json(server: server, usage: usage))
    }

    /// Liveness: any response proves that the daemon serves requests.
    @Sendable private func getLiveness(_ call: Call) async throws -> Response {
        Response(StatusDocument.json("ok"))
    }

    @Sendable private func getReadiness(_ call: Call) async throws -> Response {
        if let reason = await probe() {
            throw Problem(.notReady, reason).retrying(afterSeconds: 5)
        }
        return Response(StatusDocument.json("ok"))
    }

    @Sendable private func getMetrics(_ call: Call) async throws -> Response {
        Response(Array(metrics.render().utf8), as: .prometheus)
    }

    /// Leads to the site, whose files the daemon doesn't serve.
    @Sendable private func getDocumentation(_ call: Call) async throws -> Response {
        guard let documentation else {
            throw Problem(
                .notFound,
                "This daemon knows no site: `make docs` builds one, and docs-url says where it is.")
        }
        return Response(status: .temporaryRedirect).with(.location, documentation)
    }

    @Sendable private func getOpenAPIDocument(_ call: Call) async throws -> Response {
        Response(openAPIDocument, as: .yaml).with(.cacheControl, "no-cache")
    }

    @Sendable private func getProblemType(_ call: Call) async throws -> Response {
        let name = call.request.pathParameters["problem"] ?? ""
        guard let kind = Problem.Kind(rawValue: name) else {
            throw Problem(.notFound, "There is no problem \(call.shortened(name)).")
        }
        return ProblemPage(kind: kind).response(as: call.representation)
            .with(.cacheControl, "no-cache")
    }
}
