/// Receives a request body piece by piece, as it arrives, instead of collecting it in one array.
public protocol BodySink: AnyObject, Sendable {
    /// Called once for each piece, in order and never concurrently. The lengths of all pieces add
    /// up to the request's `Content-Length`. The bytes are valid only during the call.
    func append(_ piece: UnsafeRawBufferPointer)

    /// Asked for after each piece.
    var status: BodySinkStatus { get }

    /// Calls `resume` once, when a sink that was full takes more. It may call it at once.
    func whenReady(_ resume: @escaping @Sendable () -> Void)
}

/// How a sink stands after the pieces that it has received.
public struct BodySinkStatus: Sendable {
    /// The memory of what it holds. Beyond the body's length it is counted in addition.
    public var memoryBytes = 0
    /// Whether the client should wait before it sends more.
    public var isFull = false
    /// The response, if the rest of the body is not worth reading.
    public var rejection: Response?

    public init() {}
}

extension BodySink {
    public var status: BodySinkStatus { BodySinkStatus() }

    public func whenReady(_ resume: @escaping @Sendable () -> Void) { resume() }
}
