internal import API
internal import Dispatch
internal import Foundation
internal import HTTPServer
internal import Sessions
internal import Telemetry

/// The API on a data directory that no daemon has open, for one command: served on a Unix socket in
/// a directory that only this user can enter.
enum OfflineDaemon {
    static func run<Value: Sendable>(
        directory: String, tenant: String, isCreating: Bool = false,
        _ body: @escaping @Sendable (Peer) throws(CommandFailure) -> Value
    ) async throws(CommandFailure) -> Value {
        let log = Logger(label: "lbfgsd")
        let data = DataLocation(directory)
        guard data.exists || isCreating else {
            throw CommandFailure(.storage, "data \(directory): there is no store")
        }
        let settings = Settings()
        let registry = MetricsRegistry()
        let store = try await StoreOpening.open(
            data, tracePointsMax: settings.tracePointsMax, keepsReserve: false, registry: registry,
            log: log)
        let service = SessionService(
            store: store, limits: settings.limits, metrics: registry, background: BackgroundWork())
        var template = Array(("/tmp/lbfgsd-" + String(repeating: "X", count: 6)).utf8CString)
        // Sound: mkdtemp(3) replaces the last six characters of a NUL-terminated array.
        let isMade = unsafe template.withUnsafeMutableBufferPointer {
            unsafe $0.baseAddress.map { unsafe mkdtemp($0) != nil } ?? false
        }
        let folder = String(
            decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard isMade else {
            await store.close()
            throw CommandFailure(.storage, "/tmp: no directory can be made there")
        }
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let socket = folder + "/api.sock"
        let caller = Caller(name: "command", tenant: tenant, scopes: .all)
        let token = UUID().uuidString
        let tokens = BearerTokens([Credential(token: token, caller: caller)])
        let server = HTTPServer(
            configuration: settings.serverConfiguration(listen: .unix(path: socket), further: []),
            router: makeRouter(
                service: service, metrics: registry, bodyBytesMax: settings.bodyBytesMax,
                probe: { nil }),
            authorize: makeAdmit(hosts: .any, policy: { AccessPolicy(tokens: tokens) }),
            renderRejection: API.renderRejection)
        do {
            try server.start()
        } catch {
            await store.close()
            throw CommandFailure(.unavailable, error.description)
        }
        let peer = Peer("unix:" + socket, token: token)
        let outcome: Result<Value, CommandFailure> = await withCheckedContinuation { continuation in
            // The calls block, and the threads of the cooperative pool must not.
            DispatchQueue.global().async {
                continuation.resume(
                    returning: Result { () throws(CommandFailure) in try body(peer) })
            }
        }
        await server.stop()
        await service.shutdown()
        await store.close()
        return try outcome.get()
    }
}
