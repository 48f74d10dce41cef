internal import Foundation
internal import Sessions
internal import Webhooks
internal import Wire

/// The operator's settings for hooks: which hosts webhooks may reach, and hooks on every session.
struct HookSetup {
    let targets: WebhookTargetPolicy
    let hooking: HookEnvironment
    /// Yields when there may be something to send.
    let wakes: AsyncStream<Void>

    /// Throws a failure that names the wrong setting.
    init(_ settings: Settings) throws(CommandFailure) {
        do {
            targets = try WebhookTargetPolicy(
                hosts: settings.webhookHosts, networks: settings.webhookNetworks)
        } catch {
            throw CommandFailure(.configuration, "\(error)")
        }
        let (wakes, continuation) = AsyncStream.makeStream(
            of: Void.self, bufferingPolicy: .bufferingNewest(1))
        self.wakes = wakes
        let targets = targets
        let serverHooks = try HookSetup.serverHooks(settings.hookFile, targets)
        hooking = HookEnvironment(
            serverHooks: serverHooks, render: \.json,
            checkTarget: { url throws(HookTargetError) in
                do throws(WebhookTargetError) {
                    try targets.check(url: url)
                } catch {
                    throw HookTargetError(reason: "\(error)")
                }
            },
            checkSecret: { secret throws(HookTargetError) in
                do throws(WebhookSecretError) {
                    _ = try WebhookSecret(text: secret)
                } catch {
                    throw HookTargetError(reason: "\(error)")
                }
            },
            makeSecret: { WebhookSecret.generate().text }, wake: { continuation.yield() })
    }

    private static func serverHooks(
        _ path: String?, _ targets: WebhookTargetPolicy
    ) throws(CommandFailure) -> [Hook] {
        guard let path else { return [] }
        let requests: [HookRequest]
        do {
            let data = try Data(contentsOf: URL(filePath: path))
            requests = try HookRequest.list(json: Array(data))
        } catch WireError.malformed(let reason) {
            throw CommandFailure(.configuration, "hook-file \(path): is not JSON: \(reason)")
        } catch WireError.invalid(let errors) {
            throw CommandFailure(
                .configuration, errors.map { "hook-file \(path): \($0.field) \($0.reason)" })
        } catch {
            throw CommandFailure(
                .configuration, "hook-file \(path): can't be read: \(FileErrorText.text(error))")
        }
        var hooks: [Hook] = []
        for (index, request) in requests.enumerated() {
            if case .observe(let url, let secret) = request.action {
                do {
                    try targets.check(url: url)
                    _ = try WebhookSecret(text: secret)
                } catch {
                    throw CommandFailure(.configuration, "hook-file \(path): [\(index)] \(error)")
                }
            }
            // A fixed time, so that the same file gives equal hooks after a restart.
            hooks.append(
                Hook(
                    id: "server-\(index + 1)", event: request.event, action: request.action,
                    createdAt: Date(timeIntervalSince1970: 0)))
        }
        return hooks
    }
}
