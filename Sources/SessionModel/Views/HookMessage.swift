public import struct Foundation.Date

/// The content of a message to a webhook.
public struct HookMessage: Equatable, Sendable {
    public var event: HookEvent
    public var time: Date
    public var session: SessionID
    public var hook: String
    public var status: SessionStatus
    /// Of the step that ended, for `step.post`.
    public var step: StepRecord?

    package init(
        event: HookEvent, time: Date, session: SessionID, hook: String, status: SessionStatus,
        step: StepRecord? = nil
    ) {
        self.event = event
        self.time = time
        self.session = session
        self.hook = hook
        self.status = status
        self.step = step
    }
}
