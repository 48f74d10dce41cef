/// What sessions need for hooks: the operator's hooks, and functions of the webhook dispatcher.
public struct HookEnvironment: Sendable {
    /// The operator's hooks, on every session.
    public var serverHooks: [Hook]
    /// Makes the body of a message.
    public var render: @Sendable (HookMessage) -> [UInt8]
    /// Throws what is wrong with a URL to post to.
    public var checkTarget: @Sendable (String) throws(HookTargetError) -> Void
    /// Throws what is wrong with a secret to sign with.
    public var checkSecret: @Sendable (String) throws(HookTargetError) -> Void
    /// A new secret, `whsec_...`.
    public var makeSecret: @Sendable () -> String
    /// Called when messages have been committed.
    public var wake: @Sendable () -> Void

    /// - Parameter checkTarget: Without it no URL is allowed.
    public init(
        serverHooks: [Hook] = [],
        render: @escaping @Sendable (HookMessage) -> [UInt8] = { _ in [] },
        checkTarget: @escaping @Sendable (String) throws(HookTargetError) -> Void = {
            _ throws(HookTargetError) in
            throw HookTargetError(reason: "webhooks are off: the operator allows no hosts")
        },
        checkSecret: @escaping @Sendable (String) throws(HookTargetError) -> Void = { _ in },
        makeSecret: @escaping @Sendable () -> String = { "" },
        wake: @escaping @Sendable () -> Void = {}
    ) {
        self.serverHooks = serverHooks
        self.render = render
        self.checkTarget = checkTarget
        self.checkSecret = checkSecret
        self.makeSecret = makeSecret
        self.wake = wake
    }
}

/// Why a URL can't be posted to.
public struct HookTargetError: Error, Equatable, Sendable {
    public var reason: String

    public init(reason: String) { self.reason = reason }
}
