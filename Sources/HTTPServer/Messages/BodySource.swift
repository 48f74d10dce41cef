/// A response body of known length that is copied out of existing memory while it is sent, so a
/// large body is never held twice.
public protocol BodySource: Sendable {
    /// The length in bytes. It must not change.
    var count: Int { get }
    /// The bytes of memory that the source keeps from being freed: by default, its length.
    var heldBytes: Int { get }
    /// Copies bytes beginning at `offset` into `buffer` and returns how many were copied: the
    /// smaller of the buffer's size and the number of bytes left.
    func copy(from offset: Int, to buffer: UnsafeMutableRawBufferPointer) -> Int
}

extension BodySource {
    public var heldBytes: Int { count }
}

/// A body source over an array of bytes.
public struct ByteSource: BodySource {
    private let bytes: [UInt8]

    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    public var count: Int { bytes.count }

    public func copy(from offset: Int, to buffer: UnsafeMutableRawBufferPointer) -> Int {
        let size = min(buffer.count, bytes.count - offset)
        // Sound: `size` exceeds neither the buffer nor the bytes left.
        unsafe bytes.withUnsafeBytes { source in
            unsafe buffer.copyBytes(from: source[offset..<offset + size])
        }
        return size
    }
}
