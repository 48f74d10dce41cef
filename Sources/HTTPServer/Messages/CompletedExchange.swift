/// A request and what became of it, for metrics and logs.
public struct CompletedExchange: Sendable {
    public var head: RequestHead
    /// The route that matched, if any.
    public var route: Route?
    /// The status sent; 499 if the client disconnected before a response, and 408 if it missed a
    /// deadline.
    public var status: Int
    /// From the header to the last byte of the response.
    public var seconds: Double
    /// The response's `Location`, if it was 201: what the request created.
    public var location: String?

    public init(
        head: RequestHead, route: Route?, status: Int, seconds: Double, location: String? = nil
    ) {
        self.head = head
        self.route = route
        self.status = status
        self.seconds = seconds
        self.location = location
    }
}
