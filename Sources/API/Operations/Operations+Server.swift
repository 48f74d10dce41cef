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
        ]
    }

    @Sendable private func getLimits(_ call: Call) async throws -> Response {
        Response(
            service.limits.json(
                bodyBytesMax: bodies.small, vectorBodyBytesMax: bodies.vector,
                stateBodyBytesMax: bodies.state))
    }

    /// Liveness: any response proves that the daemon serves requests.
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
