/// Receives a request body piece by piece, as it arrives, instead of collecting it in one array.
public protocol BodySink: AnyObject, Sendable {
    /// Called once for each piece, in order and never concurrently. The lengths of all pieces add
    /// up to the request's `Content-Length`. The bytes are valid only during the call.
    func append(_ piece: UnsafeRawBufferPointer)
}
