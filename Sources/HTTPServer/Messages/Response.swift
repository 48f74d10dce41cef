public import HTTPTypes

/// A handler's response.
///
/// The server sets `Content-Length`, `Transfer-Encoding`, `Connection`, `Date` and `X-Request-Id`
/// itself and ignores these fields in `headerFields`.
public struct Response: Sendable {
    public var status: HTTPResponse.Status
    public var headerFields: HeaderFields
    public var body: Body

    public enum Body: Sendable {
        case none
        /// A body of known length, in memory.
        case bytes([UInt8])
        /// A body of known length, copied out of the source while it is sent.
        case source(any BodySource)
        /// A body of unknown length, sent with chunked transfer coding; to an HTTP/1.0 client,
        /// until the connection closes.
        ///
        /// The server takes the next element only while fewer than `streamBufferBytesMax` bytes
        /// wait to be sent. A pulled stream (`AsyncStream(unfolding:)`) therefore never runs
        /// ahead. A stream pushed through a continuation should have a bounded buffering policy,
        /// and finish when `yield` reports `.dropped`. A client that reads nothing for
        /// `streamStallSeconds` is disconnected. When the client is gone, the stream's
        /// `onTermination` is called.
        case stream(ChunkStream)
    }

    /// The length of the body in bytes, or nil if it is a stream.
    public var bodyByteCount: Int? {
        switch body {
        case .none: 0
        case .bytes(let bytes): bytes.count
        case .source(let source): source.count
        case .stream: nil
        }
    }

    /// The memory that the response holds until it is sent.
    func heldBytes(_ configuration: ServerConfiguration) -> Int {
        switch body {
        case .none: 0
        case .bytes(let bytes): bytes.count
        case .source(let source): source.heldBytes
        case .stream: configuration.streamBytesMax
        }
    }

    public init(
        status: HTTPResponse.Status, headerFields: HeaderFields = [:], body: Body = .none
    ) {
        self.status = status
        self.headerFields = headerFields
        self.body = body
    }
}

/// The chunks of a streamed body, behind a reference.
///
/// The size of an `AsyncStream` is only known at run time. A `Response` that held one directly
/// would have to be copied through runtime calls, even if its body is not a stream.
public final class ChunkStream: Sendable {
    public let chunks: AsyncStream<[UInt8]>

    public init(_ chunks: AsyncStream<[UInt8]>) { self.chunks = chunks }
}
