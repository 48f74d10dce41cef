/// The addresses of a pair's numbers during a pass, so that the inner loops use no arrays.
///
/// Addresses are stored as integers, because between two passes they refer to nothing.
struct PairAddress: Sendable {
    var s: UInt = 0
    var y: UInt = 0
    /// The pair's columns of the small matrices, beginning with the row of the oldest pair.
    var sy: UInt = 0
    var yy: UInt = 0
    var dtype = HistoryDType.float64

    @inline(__always)
    var stepPointer: UnsafeRawPointer {
        // Sound: it was a pointer, which is valid during the running pass.
        unsafe UnsafeRawPointer(bitPattern: s).unsafelyUnwrapped
    }
    @inline(__always)
    var changePointer: UnsafeRawPointer {
        // Sound: as above.
        unsafe UnsafeRawPointer(bitPattern: y).unsafelyUnwrapped
    }
    @inline(__always)
    var stepColumn: UnsafePointer<Double> {
        // Sound: as above; it was that of an array of this type.
        unsafe UnsafePointer(bitPattern: sy).unsafelyUnwrapped
    }
    @inline(__always)
    var changeColumn: UnsafePointer<Double> {
        // Sound: as above.
        unsafe UnsafePointer(bitPattern: yy).unsafelyUnwrapped
    }
}

extension CurvaturePair {
    /// The addresses of the pair's numbers. They are valid for as long as the pair's arrays are
    /// referenced and not changed; the caller must see to both.
    /// - Parameter index: The index of the pair in the history, 0 the oldest.
    @inline(__always)
    func address(index: Int) -> PairAddress {
        let s = unsafe storage.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
        // The first rows are those of pairs that were dropped since this one was added.
        let skipped = UInt(8 * (sy.count - 1 - index))
        return unsafe PairAddress(
            s: s, y: s + UInt(storage.count / 2),
            sy: sy.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) } + skipped,
            yy: unsafe yy.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) } + skipped,
            dtype: dtype)
    }
}
