public import HTTPTypes

/// One operation of an API: a method and path, the bodies it accepts, and its handler.
///
/// A class, because each request in flight refers to its route.
public final class Route: Sendable {
    public typealias Handler = @Sendable (Request) async -> Response
    /// Decides, from the header alone, what happens to a body of `length` bytes.
    public typealias BodyPlanner =
        @Sendable (_ head: RequestHead, _ pathParameters: PathParameters, _ length: Int)
        async -> BodyPlan

    public let method: HTTPRequest.Method
    /// Literal segments, and parameters that each take a whole segment:
    /// `"/v1/sessions/{s}/steps/{n}"`.
    public let pattern: String
    public let operationID: String
    /// The accepted media types of the body, in lower case and without parameters. Empty if the
    /// route takes no body.
    public let mediaTypes: [String]
    /// The largest accepted `Content-Length`. Ignored by a route that takes no body.
    public let bodyBytesMax: Int
    /// Called before the body is read if the body is longer than 64 KiB or the client sent
    /// `Expect: 100-continue`. If nil, bodies are always collected.
    public let planBody: BodyPlanner?
    public let handler: Handler

    public init(
        method: HTTPRequest.Method, pattern: String, operationID: String,
        mediaTypes: [String] = [], bodyBytesMax: Int = 0, planBody: BodyPlanner? = nil,
        handler: @escaping Handler
    ) {
        self.method = method
        self.pattern = pattern
        self.operationID = operationID
        self.mediaTypes = mediaTypes
        self.bodyBytesMax = bodyBytesMax
        self.planBody = planBody
        self.handler = handler
    }
}
