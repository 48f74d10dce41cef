internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Telemetry
internal import Wire

extension Operations {
    /// What operators and tools look at. Probes and scrapers get the one form there is, whatever
    /// they say they accept.
    var server: [Route] {
        [
            operation("getLimits", .get, "/v1/limits", handler: getLimits),
            operation("getLiveness", .get, "/livez", produces: [], handler: getLiveness),
            operation("getReadiness", .get, "/readyz", produces: [], handler: getReadiness),
            operation("getMetrics", .get, "/metrics", produces: [], handler: getMetrics),
            operation(
                "getOpenAPIDocument", .get, "/openapi.yaml", produces: [],
                handler: getOpenAPIDocument),
        ]
    }

    @Sendable private func getLimits(_ call: Call) async throws -> Response {
        Response(
            service.limits.json(
                bodyBytesMax: bodies.small, vectorBodyBytesMax: bodies.vector,
                stateBodyBytesMax: bodies.state))
    }

    /// That this is answered is the answer.
    @Sendable private func getLiveness(_ call: Call) async throws -> Response {
        Response(StatusDocument.json("ok"))
    }

    @Sendable private func getReadiness(_ call: Call) async throws -> Response {
        guard await probe() else {
            throw Problem(.notReady, "The store does not take writes; the server's log says more.")
                .retrying(afterSeconds: 5)
        }
        return Response(StatusDocument.json("ok"))
    }

    @Sendable private func getMetrics(_ call: Call) async throws -> Response {
        Response(Array(metrics.render().utf8), as: .prometheus)
    }

    @Sendable private func getOpenAPIDocument(_ call: Call) async throws -> Response {
        Response(openAPIDocument, as: .yaml).with(.cacheControl, "no-cache")
    }
}
