internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

extension Operations {
    /// What a standby asks of its primary, for all tenants at once.
    var replicationRoutes: [Route] {
        [
            operation("getReplication", .get, "/v1/replication", handler: getReplication),
            operation(
                "beginReplicationBase", .post, "/v1/replication/base",
                body: .json(bytesMax: bodies.small), handler: beginBase),
            operation(
                "takeReplicationChanges", .post, "/v1/replication/changes",
                body: .json(bytesMax: bodies.small), produces: [], handler: takeChanges),
            operation(
                "getReplicationFile", .get, "/v1/replication/files/{file}",
                query: ["offset", "count"], produces: [], handler: getFile),
            operation(
                "fenceReplication", .post, "/v1/replication/fence",
                body: .json(bytesMax: bodies.small), handler: fence),
        ]
    }

    private static let filePartBytesMax = 4 << 20

    private var source: any ReplicationSource {
        get throws {
            guard let replication else { throw ReplicationError.off }
            return replication
        }
    }

    @Sendable private func getReplication(_ call: Call) async throws -> Response {
        Response(try source.replicationStatus.json)
    }

    @Sendable private func beginBase(_ call: Call) async throws -> Response {
        let request = try BaseRequest(json: call.body)
        return Response(
            try await source.beginBase(standby: request.standby, term: request.term).json)
    }

    @Sendable private func takeChanges(_ call: Call) async throws -> Response {
        let request = try ChangesRequest(
            json: call.body, waitSecondsMax: service.limits.waitSecondsMax)
        let changes = try await source.changes(
            after: request.after, of: request.feed, standby: request.standby, term: request.term,
            isCopying: request.isCopying, waitSeconds: request.waitSeconds)
        return Response(changes, as: .octets)
    }

    @Sendable private func getFile(_ call: Call) async throws -> Response {
        let source = try source
        let name = call.request.pathParameters["file"] ?? ""
        let count = try call.queryNumber("count") ?? Self.filePartBytesMax
        guard count <= Self.filePartBytesMax else {
            throw Problem.invalid("query.count", "must be at most \(Self.filePartBytesMax)")
        }
        let bytes = try await source.filePart(
            call.shortened(name), from: try call.queryNumber("offset", from: 0) ?? 0, count: count)
        let isLong = bytes.count >= BackgroundWork.bytesMin
        let digest =
            isLong ? await service.background.run { Digest.of(bytes) } : Digest.of(bytes)
        let tag = "\"\(digest)\""
        if call.hasSeen(tag) { return Response(status: .notModified).with(.eTag, tag) }
        return Response(bytes, as: .octets).with(.eTag, tag)
    }

    @Sendable private func fence(_ call: Call) async throws -> Response {
        let request = try FenceRequest(json: call.body)
        let source = try source
        try await source.fence(term: request.term)
        return Response(source.replicationStatus.json)
    }
}
