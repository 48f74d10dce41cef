/// One of many: an ask, or with `told` a tell.
public struct EvaluationItem: Sendable {
    /// As the client wrote it; what has no identifier's form names nothing.
    public var session: String
    public var told: (number: EvaluationNumber, request: TellRequest)?

    public init(session: String, told: (number: EvaluationNumber, request: TellRequest)? = nil) {
        self.session = session
        self.told = told
    }
}
