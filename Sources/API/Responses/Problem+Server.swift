public import HTTPServer

/// Words the server's own refusals as problems, for `HTTPServer(refuse:)`.
public func refuse(_ refusal: Refusal, _ head: RequestHead?) -> Response {
    Problem(refusal).response
}
