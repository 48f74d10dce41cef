public import SessionModel

/// Reads what a vector's body says before its numbers, from pieces as they come: collects the head
/// until it is whole, and no more of it than that.
public struct VectorHeaderReader: Sendable {
    private enum Form { case safetensors, npy }

    private let form: Form
    private let bodyBytes: Int
    private var first: [UInt8] = []

    /// nil for a form whose vectors have no head.
    /// - Parameter bodyBytes: What the whole body will have.
    public init?(_ form: Representation, bodyBytes: Int) {
        switch form {
        case .safetensors: self.form = .safetensors
        case .npy: self.form = .npy
        case .json, .problem, .csv, .octets, .ndjson, .eventStream, .yaml, .prometheus: return nil
        }
        self.bodyBytes = bodyBytes
    }

    /// Takes from the beginning of a piece what belongs to the head; not called again after the
    /// head was whole or this threw, which it does as early as can be.
    ///
    /// - Returns: Whether the head is whole, and how many bytes of the piece are of it.
    public mutating func take(
        _ piece: UnsafeRawBufferPointer
    ) throws(WireError) -> (isWhole: Bool, bytes: Int) {
        var taken = 0
        var end = try headEnd()
        while end > first.count {
            let next = min(end - first.count, piece.count - taken)
            if next == 0 { return (false, taken) }
            // Sound: no more than there is, and copied within the call.
            unsafe first.append(contentsOf: piece[taken..<taken + next])
            taken += next
            end = try headEnd()
        }
        return (true, taken)
    }

    /// Bytes of the head that have come.
    public var count: Int { first.count }

    /// What the head says, when it is whole. Throws what reading the whole body would throw,
    /// `malformed` or `invalid`. O(head): some milliseconds for that of a thousand tensors.
    public func head() throws(WireError) -> VectorHeader {
        switch form {
        case .safetensors: try Safetensors.vectorHead(first, of: bodyBytes)
        case .npy: .array(try Npy.head(first[...], of: bodyBytes))
        }
    }

    private func headEnd() throws(WireError) -> Int {
        switch form {
        case .safetensors: try Safetensors.headEnd(first, of: bodyBytes)
        case .npy: try Npy.headEnd(first, of: bodyBytes)
        }
    }
}
