public import HTTPTypes

/// One operation: a method on a path, what it accepts, and the function that answers it.
///
/// An object, which every request on its way refers to.
public final class Route: Sendable {
    public typealias Handler = @Sendable (Request) async -> Response
    /// Looks at a header whose body, of `length` bytes, hasn't been read.
    public typealias Preview =
        @Sendable (_ head: RequestHead, _ pathParameters: PathParameters, _ length: Int)
        async -> BodyPlan

    public let method: HTTPRequest.Method
    /// `"/v1/sessions/{s}/steps/{n}"`: literal segments, and parameters that take a whole segment.
    public let pattern: String
    public let operationID: String
    /// The media types of the bodies it reads, in lower case without parameters. Empty: it takes no
    /// body.
    public let mediaTypes: [String]
    /// The largest `Content-Length` it reads. Ignored by a route that takes no body.
    public let bodyBytesMax: Int
    /// Asked about bodies that are large, or that the client waits for leave to send. nil: they
    /// are collected.
    public let preview: Preview?
    public let handler: Handler

    public init(
        method: HTTPRequest.Method, pattern: String, operationID: String,
        mediaTypes: [String] = [], bodyBytesMax: Int = 0, preview: Preview? = nil,
        handler: @escaping Handler
    ) {
        self.method = method
        self.pattern = pattern
        self.operationID = operationID
        self.mediaTypes = mediaTypes
        self.bodyBytesMax = bodyBytesMax
        self.preview = preview
        self.handler = handler
    }
}
