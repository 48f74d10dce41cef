/// A binary body that was collected whole: its header, and its numbers, which the session has yet
/// to compare with its parameters and to put in their order.
public struct CollectedVector: Equatable, Sendable {
    public let header: VectorHeader
    private let body: [UInt8]
    private let start: Int

    /// - Parameter start: Where the numbers begin in the body.
    /// - Precondition: The body has as many bytes behind `start` as the header says.
    public init(_ header: VectorHeader, body: [UInt8], start: Int) {
        precondition(
            body.count - start == header.byteCount,
            "a header of \(header.byteCount) bytes and a body of \(body.count - start)")
        self.header = header
        self.body = body
        self.start = start
    }

    /// The numbers: little-endian, one tensor after the other, row-major.
    public var numbers: ArraySlice<UInt8> { body[start...] }
}
