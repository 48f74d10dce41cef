public import SessionModel

/// The forms whose vectors have a header.
private enum HeaderForm {
    case safetensors, npy

    init?(_ form: Representation) {
        switch form {
        case .safetensors: self = .safetensors
        case .npy: self = .npy
        case .json, .problem, .csv, .octets, .sessionFile, .ndjson, .eventStream, .yaml,
            .html, .prometheus:
            return nil
        }
    }

    /// The position of the first number in a body that begins with `first`. A result beyond the end
    /// of `first` is how many bytes are needed to say more.
    func headerEnd(_ first: [UInt8], of bodyBytes: Int) throws(WireError) -> Int {
        switch self {
        case .safetensors: try Safetensors.headerEnd(first, of: bodyBytes)
        case .npy: try Npy.headerEnd(first, of: bodyBytes)
        }
    }

    /// - Parameter head: All bytes before the numbers.
    func header(_ head: ArraySlice<UInt8>, of bodyBytes: Int) throws(WireError) -> VectorHeader {
        switch self {
        case .safetensors: try Safetensors.vectorHeader(head, of: bodyBytes)
        case .npy: .array(try Npy.header(head, of: bodyBytes))
        }
    }
}

/// Reads the header of a vector's body from pieces as they arrive. It collects the bytes before the
/// numbers until they are complete, and no byte more.
public struct VectorHeaderReader: Sendable {
    private let form: HeaderForm
    private let bodyBytes: Int
    private var first: [UInt8] = []

    /// nil for a form whose vectors have no header.
    /// - Parameter bodyBytes: The length of the whole body.
    public init?(_ form: Representation, bodyBytes: Int) {
        guard let form = HeaderForm(form) else { return nil }
        self.form = form
        self.bodyBytes = bodyBytes
    }

    /// Takes from the beginning of a piece what belongs to the header. Must not be called again
    /// after the header was complete, or after this threw, which it does as early as possible.
    ///
    /// - Returns: Whether the header is complete, and how many bytes of the piece belong to it.
    public mutating func take(
        _ piece: UnsafeRawBufferPointer
    ) throws(WireError) -> (isWhole: Bool, bytes: Int) {
        var taken = 0
        var end = try form.headerEnd(first, of: bodyBytes)
        while end > first.count {
            let next = min(end - first.count, piece.count - taken)
            if next == 0 { return (false, taken) }
            // Sound: no more than the piece has, and copied within the call.
            unsafe first.append(contentsOf: piece[taken..<taken + next])
            taken += next
            end = try form.headerEnd(first, of: bodyBytes)
        }
        return (true, taken)
    }

    /// Bytes of the header that have arrived.
    public var count: Int { first.count }

    /// What the complete header says. Throws what reading the whole body would throw, `malformed`
    /// or `invalid`. O(header): some milliseconds for a thousand tensors.
    public func header() throws(WireError) -> VectorHeader {
        try form.header(first[...], of: bodyBytes)
    }
}

extension CollectedVector {
    /// Reads the header of a whole body; nil where the form is none of `Representation.vectors`.
    /// O(header): the numbers stay where they are.
    ///
    /// - Throws: `malformed` where the bytes do not have the form, or end too early; otherwise
    ///   `invalid` with the field.
    public init?(_ body: [UInt8], as form: Representation) throws(WireError) {
        if form == .octets {
            self.init(.octets(byteCount: body.count), body: body, start: 0)
            return
        }
        guard let form = HeaderForm(form) else { return nil }
        let start = try form.headerEnd(body, of: body.count)
        self.init(try form.header(body[..<start], of: body.count), body: body, start: start)
    }
}
