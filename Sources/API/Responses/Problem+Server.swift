public import HTTPServer

/// Renders the server's own errors as problems, for `HTTPServer(refuse:)`.
public func refuse(_ refusal: Refusal, _ head: RequestHead?) -> Response {
    Problem(refusal).response
}
