public import struct Foundation.Date

/// Names a message to a webhook: `msg_` and 20 characters of lower-case base 32.
public typealias DeliveryID = String

/// A message to a webhook and the state of its delivery. It is kept for some time after it was
/// delivered or given up.
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
    /// The outcome of the last attempt, in words.
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
