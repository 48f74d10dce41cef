/// A complete request, as a handler receives it.
public struct Request: Sendable {
    public var head: RequestHead
    /// The path's parameters, percent-decoded. None is empty.
    public var pathParameters: PathParameters
    /// The pattern of the matched route, for metrics and logs: unlike a path, it has few values.
    public var route: String
    /// The collected body. Empty if the route streamed it into `sink`.
    public var body: [UInt8]
    /// The sink that received the body, if the route's body plan was `.stream`.
    public var sink: (any BodySink)?

    public init(
        head: RequestHead, pathParameters: PathParameters = [:], route: String = "",
        body: [UInt8] = [], sink: (any BodySink)? = nil
    ) {
        self.head = head
        self.pathParameters = pathParameters
        self.route = route
        self.body = body
        self.sink = sink
    }
}
