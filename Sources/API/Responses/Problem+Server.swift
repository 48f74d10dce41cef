public import HTTPServer

/// Renders the server's own rejections as problems, for `HTTPServer(renderRejection:)`.
public func renderRejection(_ rejection: RequestRejection, _ head: RequestHead?) -> Response {
    Problem(rejection).response
}
