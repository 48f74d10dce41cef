// Bodies too large to be held twice: where one goes while it arrives, and where one comes from
// while it leaves.

/// Where a body goes piece by piece, instead of into one array of bytes.
public protocol BodySink: AnyObject, Sendable {
    /// Pieces come in order, one at a time, and are as long together as was announced.
    func append(_ piece: UnsafeRawBufferPointer)
}

/// A body that is read while it is sent, from memory that somebody else has anyway.
public protocol BodySource: Sendable {
    /// In bytes; never changes.
    var count: Int { get }
    /// Copies the bytes from `offset` on, as many as there is room for or are left, and returns
    /// how many.
    func copy(from offset: Int, to room: UnsafeMutableRawBufferPointer) -> Int
}

/// Bytes that are there, to be sent without another copy.
public struct ByteSource: BodySource {
    private let bytes: [UInt8]

    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    public var count: Int { bytes.count }

    public func copy(from offset: Int, to room: UnsafeMutableRawBufferPointer) -> Int {
        let size = min(room.count, bytes.count - offset)
        // Sound: no more than there is room for, nor than what is left.
        unsafe bytes.withUnsafeBytes { source in
            unsafe room.copyBytes(from: source[offset..<offset + size])
        }
        return size
    }
}

/// What a route makes of a body that is announced and not sent yet.
public enum BodyPlan: Sendable {
    /// Into `Request.body`.
    case collect
    /// Into `Request.sink`.
    case stream(any BodySink)
    /// Nothing: the response says why. A client that waits for leave to send it never does.
    case refuse(Response)
}
