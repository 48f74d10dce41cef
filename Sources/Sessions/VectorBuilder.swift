/// A vector that arrives in pieces, each copied once, to where it stays.
public struct VectorBuilder: Sendable {
    public let dtype: DType
    public let byteCount: Int
    public private(set) var bytesFilled = 0
    /// Exactly one of them has the numbers, the other is empty.
    private var doubles: [Double] = []
    private var floats: [Float] = []

    /// - Precondition: `byteCount` is that of whole numbers.
    public init(byteCount: Int, dtype: DType) {
        precondition(byteCount >= 0 && byteCount.isMultiple(of: dtype.size))
        self.dtype = dtype
        self.byteCount = byteCount
        let count = byteCount / dtype.size
        // Sound: any bits are a number, and nobody reads them before all have been written.
        switch dtype {
        case .float64:
            doubles = unsafe [Double](unsafeUninitializedCapacity: count) { $1 = count }
        case .float32:
            floats = unsafe [Float](unsafeUninitializedCapacity: count) { $1 = count }
        }
    }

    /// Returns false, and takes nothing, if that would be too much.
    public mutating func append(_ piece: UnsafeRawBufferPointer) -> Bool {
        guard piece.count <= byteCount - bytesFilled else { return false }
        let start = bytesFilled
        func fill(_ room: UnsafeMutableRawBufferPointer) {
            // Sound: the piece fits behind what was filled.
            unsafe UnsafeMutableRawBufferPointer(rebasing: room[start...]).copyMemory(from: piece)
        }
        switch dtype {
        case .float64: unsafe doubles.withUnsafeMutableBytes { unsafe fill($0) }
        case .float32: unsafe floats.withUnsafeMutableBytes { unsafe fill($0) }
        }
        bytesFilled += piece.count
        return true
    }

    /// nil until every byte has come.
    public consuming func finished() -> Vector? {
        guard bytesFilled == byteCount else { return nil }
        switch dtype {
        case .float64: return .float64(doubles)
        case .float32: return .float32(floats)
        }
    }
}
