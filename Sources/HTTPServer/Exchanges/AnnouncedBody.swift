/// A request body that the header announces and that has not been read yet.
struct AnnouncedBody: Sendable {
    var route: Route
    var parameters: PathParameters
    /// `Content-Length`, or 0 without a body.
    var length: Int
    /// Whether the client waits for `100 Continue` before it sends the body.
    var expectsContinue: Bool
}
