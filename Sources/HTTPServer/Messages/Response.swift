public import HTTPTypes

/// What a handler answers.
///
/// `Content-Length`, `Transfer-Encoding`, `Connection` and `Date` belong to the server: setting
/// them has no effect.
public struct Response: Sendable {
    public var status: HTTPResponse.Status
    public var headerFields: HeaderFields
    public var body: Body

    public enum Body: Sendable {
        case none
        /// A body of known length.
        case bytes([UInt8])
        /// A body of known length that is read while it is sent.
        case source(any BodySource)
        /// Pieces sent as they come, chunked (until the connection closes, for an HTTP/1.0 client).
        ///
        /// The server takes pieces only while less than `streamBufferBytesMax` wait for the client,
        /// so a stream that is pulled (`AsyncStream(unfolding:)`) never runs ahead. One that is
        /// pushed through a continuation should have a bounded buffering policy and finish when a
        /// `yield` reports `.dropped`. A client that takes nothing for `streamStallSeconds` is cut;
        /// when it vanishes the stream's `onTermination` is called.
        case stream(PieceStream)
    }

    /// Bytes of the body; nil when that isn't known before it ends.
    public var bodyByteCount: Int? {
        switch body {
        case .none: 0
        case .bytes(let bytes): bytes.count
        case .source(let source): source.count
        case .stream: nil
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

/// A stream of pieces, behind a reference: the standard library says only at run time how large an
/// `AsyncStream` is, and whatever holds one in itself is then copied by the runtime, every answer
/// included.
public final class PieceStream: Sendable {
    public let pieces: AsyncStream<[UInt8]>

    public init(_ pieces: AsyncStream<[UInt8]>) { self.pieces = pieces }
}
