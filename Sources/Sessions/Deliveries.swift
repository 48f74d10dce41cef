public import struct Foundation.Date

/// Names a message to a webhook: `msg_` and 20 characters of lower-case base 32.
public typealias DeliveryID = String

/// A message to a webhook, and how it fares. Kept for a while when it has come to its end.
public struct DeliveryRecord: Equatable, Sendable {
    public enum Status: String, Equatable, Sendable, Codable, CaseIterable {
        /// To be tried at `nextAttemptAt`.
        case pending
        case delivered
        /// Given up.
        case failed
    }

    public var id: DeliveryID
    public var session: SessionID
    public var hook: String
    public var event: HookEvent
    public var url: String
    public var secret: String
    public var body: [UInt8]
    public var createdAt: Date
    public var status: Status
    public var attempts: Int
    /// nil unless pending.
    public var nextAttemptAt: Date?
    public var lastAttemptAt: Date?
    /// What came of the last attempt, in words.
    public var lastOutcome: String?

    public init(
        id: DeliveryID, session: SessionID, hook: String, event: HookEvent, url: String,
        secret: String, body: [UInt8], createdAt: Date, status: Status = .pending,
        attempts: Int = 0, nextAttemptAt: Date? = nil, lastAttemptAt: Date? = nil,
        lastOutcome: String? = nil
    ) {
        self.id = id
        self.session = session
        self.hook = hook
        self.event = event
        self.url = url
        self.secret = secret
        self.body = body
        self.createdAt = createdAt
        self.status = status
        self.attempts = attempts
        self.nextAttemptAt = nextAttemptAt
        self.lastAttemptAt = lastAttemptAt
        self.lastOutcome = lastOutcome
    }
}

/// What a message to a webhook tells.
public struct HookMessage: Equatable, Sendable {
    public var event: HookEvent
    public var time: Date
    public var session: SessionID
    public var hook: String
    public var standing: SessionStanding
    /// Of the step that ended, for `step.post`.
    public var step: StepRecord?
}

/// What sessions need to know of hooks beside their own.
public struct Hooking: Sendable {
    /// The operator's hooks, on every session.
    public var serverHooks: [Hook]
    /// A message's body.
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
