/// What happens to a request body that is announced in the header but not read yet.
public enum BodyPlan: Sendable {
    /// Collect it in `Request.body`.
    case collect
    /// Pass it to the sink, which the handler then finds in `Request.sink`.
    case stream(any BodySink)
    /// Send this response and don't call the handler. A client that sent
    /// `Expect: 100-continue` never sends the body.
    case reject(Response)
}
