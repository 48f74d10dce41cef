public import struct Foundation.Date

/// A hook call that waits for its answer.
public struct HookCallView: Equatable, Sendable {
    /// What the hook may replace or inspect. Indirect, so that turns stay small: few have a call.
    public indirect enum Subject: Equatable, Sendable {
        case nothing
        /// Of the step that is about to begin.
        case options(Options)
        case result(StepResult?)
        case stateDict(StateDict)
    }

    public var number: HookCallNumber
    public var hook: String
    public var event: HookEvent
    public var deadline: Date
    public var fallback: HookDefault
    public var subject: Subject

    package init(
        number: HookCallNumber, hook: String, event: HookEvent, deadline: Date,
        fallback: HookDefault, subject: Subject
    ) {
        self.number = number
        self.hook = hook
        self.event = event
        self.deadline = deadline
        self.fallback = fallback
        self.subject = subject
    }
}

public typealias HookCallNumber = Int
