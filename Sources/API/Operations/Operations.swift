internal import Ensembles
internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Telemetry
internal import Wire

/// The operations of the API: what they share, and how one becomes a route.
struct Operations: Sendable {
    let service: SessionService
    let ensembles: EnsembleService
    let metrics: MetricsRegistry
    let bodies: BodyLimits
    /// The server's, for its limits.
    let configuration: ServerConfiguration
    let probe: @Sendable () async -> String?
    /// nil if no standby may follow.
    var replication: (any ReplicationSource)?
    /// Where the site is; nil if nowhere.
    var documentation: String?

    typealias Handler = @Sendable (Call) async throws -> Response
    /// Checks a call before its body, of so many bytes, is read.
    typealias Preview = @Sendable (Call, Int) async throws -> BodyPlan

    /// The representations of a response that is JSON about a vector, or the vector itself.
    static let vectorForms: [Representation] = [.json] + Representation.vectors

    enum Body {
        case none
        case json(bytesMax: Int)
        case jsonOr([Representation], bytesMax: Int)
        /// No JSON.
        case only(Representation, bytesMax: Int)

        fileprivate var mediaTypes: [String] {
            switch self {
            case .none: []
            case .json: [Representation.json.mediaType]
            case .jsonOr(let others, _): [Representation.json.mediaType] + others.map(\.mediaType)
            case .only(let form, _): [form.mediaType]
            }
        }

        fileprivate var isLongJSON: Bool { bytesMax > JSONSink.collectedBytesMax }

        fileprivate var bytesMax: Int {
            switch self {
            case .none: 0
            case .json(let bytesMax), .jsonOr(_, let bytesMax), .only(_, let bytesMax): bytesMax
            }
        }
    }

    /// - Parameters:
    ///   - query: The query's known names.
    ///   - repeated: Those of them that may come several times.
    ///   - produces: The representations that can be negotiated. Empty when the response has one or
    ///     none, whatever the client accepts.
    ///   - inRanges: Whether a GET may ask for a range of the response.
    ///   - numbersMax: The most numbers of a JSON body; nil for those of a session's parameters and
    ///     their bounds.
    func operation(
        _ id: String, _ method: HTTPRequest.Method, _ pattern: String, query: [String] = [],
        repeated: [String] = [], body: Body = .none, produces: [Representation] = [.json],
        inRanges: Bool = false, numbersMax: Int? = nil, preview: Preview? = nil,
        handler: @escaping Handler
    ) -> Route {
        @Sendable func finish(_ response: inout Response) {
            if response.headerFields[.cacheControl] == nil {
                response.headerFields.append(.cacheControl, "no-store")
            }
            if produces.count > 1 { response.headerFields[.vary] = "Accept" }
        }
        let boundedNumbersMax = min(service.limits.parametersMax, Int.max / 4) * 4
        @Sendable func refusal(_ error: any Error, _ head: RequestHead) -> Response {
            var response = Problem(error).response(to: head)
            finish(&response)
            return response
        }
        let writes = replication.flatMap { Self.isWrite(id) ? $0 : nil }
        @Sendable func handle(_ request: Request) async -> Response {
            do {
                if let refusal = writes?.writeRefusal { throw refusal }
                if request.head.admission?.isRevoked == true { throw Problem.revoked }
                let call = try Call(
                    request, query: query, repeated: repeated, produces: produces)
                if let sink = request.sink as? JSONSink { await sink.finish() }
                try call.checkDigest()
                let tenantHandler = try await tenantHandler(call, id, handler)
                var response =
                    request.sink == nil && request.body.count < BackgroundWork.bytesMin
                    ? try await tenantHandler(call)
                    : try await service.background.run { try await tenantHandler(call) }
                // Also where nothing was written: a repeated request is told of what was.
                if let writes { try await writes.confirm() }
                if inRanges { response = try response.ranged(for: request.head) }
                if request.head.headerFields[.wantContentDigest] != nil,
                    let digest = await contentDigest(of: response, for: request.head)
                {
                    response.headerFields[.contentDigest] = digest
                }
                finish(&response)
                return response
            } catch {
                return refusal(error, request.head)
            }
        }
        var planned: Route.BodyPlanner?
        var preview = preview
        if preview == nil, body.isLongJSON {
            preview = { call, length in
                try planJSON(length, call, numbersMax: numbersMax ?? boundedNumbersMax)
            }
        }
        if let preview {
            planned = { head, pathParameters, length in
                let request = Request(head: head, pathParameters: pathParameters)
                do {
                    if let refusal = writes?.writeRefusal { throw refusal }
                    let call = try Call(request, query: query, produces: produces)
                    try await checkTenant(call)
                    return try await preview(call, length)
                } catch {
                    return .reject(refusal(error, head))
                }
            }
        }
        return Route(
            method: method, pattern: pattern, operationID: id, mediaTypes: body.mediaTypes,
            bodyBytesMax: body.bytesMax, planBody: planned, handler: handle)
    }

    private static func isWrite(_ operation: String) -> Bool {
        switch operationScopes[operation] {
        case .write, .delete: true
        case .read, .admin, nil: false
        }
    }

    private func contentDigest(of response: Response, for head: RequestHead) async -> String? {
        guard response.bodyByteCount ?? 0 >= BackgroundWork.bytesMin else {
            return response.contentDigest(for: head)
        }
        return await service.background.run { response.contentDigest(for: head) }
    }

    /// 304 if the client has the state with this tag already. Otherwise the response that `write`
    /// renders, with so many numbers; a long one on a background executor.
    func written(
        _ count: Int, tag: String, for call: Call, _ write: @escaping @Sendable () -> Response
    ) async -> Response {
        if call.hasSeen(tag) { return Response(status: .notModified).with(.eTag, tag) }
        return await written(count, write)
    }

    /// Throws `notFound` if the session or the ensemble in the path is another tenant's.
    private func checkTenant(_ call: Call) async throws {
        if call.request.pathParameters["ensemble"] != nil {
            try await ensembles.check(try call.ensemble(), belongsTo: call.caller.tenant)
        }
        guard call.request.pathParameters["session"] != nil else { return }
        try await service.check(try call.session(), belongsTo: call.caller.tenant)
    }

    /// The handler, once the session in the path (or the ensemble) was found to be the caller's,
    /// within the quota of bytes on disk if it writes.
    private func tenantHandler(
        _ call: Call, _ operation: String, _ handler: @escaping Handler
    ) async throws -> Handler {
        guard call.request.pathParameters["session"] != nil else {
            try await checkTenant(call)
            return handler
        }
        let tenant = call.caller.tenant
        let session = try call.session()
        try await service.check(session, belongsTo: tenant)
        switch operationScopes[operation] {
        case .write? where !diskQuotaExemptions.contains(operation):
            guard service.tenants.quota(of: tenant).diskBytesMax != nil else { return handler }
            let isWholeState = ["loadStateDict", "restoreCheckpoint"].contains(operation)
            return { call in
                try await service.withinDiskQuota(
                    of: tenant, session, isWholeState: isWholeState
                ) { try await handler(call) }
            }
        case .delete? where operation != "deleteSession":
            return { call in
                let response = try await handler(call)
                await service.recountAfterDeletion(session, of: tenant)
                return response
            }
        case .read, .write, .delete, .admin, nil: return handler
        }
    }

    /// Renders a response with so many numbers; a long one on a background executor.
    func written(
        _ count: Int, _ write: @escaping @Sendable () -> Response
    ) async -> Response {
        guard count * 8 >= BackgroundWork.bytesMin else { return write() }
        return await service.background.run { write() }
    }
}

/// Operations that write little, or that a tenant needs to get below its quota of bytes on disk. A
/// fork is another session, and reserved as such.
private let diskQuotaExemptions: Set = [
    "stopStep", "updateSession", "leaseShard", "redeliver", "forkCheckpoint",
]
