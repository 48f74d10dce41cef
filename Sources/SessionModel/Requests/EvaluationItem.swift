/// One item of a batch: an ask or, with `told`, a tell.
public struct EvaluationItem: Sendable {
    /// As the client wrote it. A text that is no identifier names no session.
    public var session: String
    public var told: (number: EvaluationNumber, request: TellRequest)?

    public init(session: String, told: (number: EvaluationNumber, request: TellRequest)? = nil) {
        self.session = session
        self.told = told
    }
}
