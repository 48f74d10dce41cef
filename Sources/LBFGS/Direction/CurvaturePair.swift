/// A pair (s, y), with its column of the small matrices.
///
/// It never changes once it is in a history, so that it can be written to disk once and shared.
public struct CurvaturePair<Scalar: EngineScalar>: Equatable, Sendable {
    /// 1, 2, 3 ... over the life of the optimizer.
    public internal(set) var number: Int
    /// What the numbers of `octets` are.
    public internal(set) var dtype: HistoryDType
    var octets: PairOctets
    /// s_i.y of the pairs that were kept when this one was made, oldest first, and its own last.
    public internal(set) var sy: [Double]
    /// y_i.y of the same pairs.
    public internal(set) var yy: [Double]

    /// - Precondition: `octets` holds two vectors of equal counts, and `sy` and `yy` have equal
    ///   counts of at least 1.
    init(number: Int, dtype: HistoryDType, octets: PairOctets, sy: [Double], yy: [Double]) {
        precondition(octets.count.isMultiple(of: 2 * dtype.size))
        precondition(sy.count == yy.count && !sy.isEmpty)
        self.number = number
        self.dtype = dtype
        self.octets = octets
        self.sy = sy
        self.yy = yy
    }

    /// Rounds s and y to `dtype`.
    /// - Precondition: `s` and `y` have equal counts, and `sy` and `yy` have, at least 1.
    public init(
        number: Int, dtype: HistoryDType = Scalar.historyDType, s: [Scalar], y: [Scalar],
        sy: [Double], yy: [Double]
    ) {
        precondition(s.count == y.count)
        self.init(
            number: number, dtype: dtype, octets: PairOctets(packed(s, y, as: dtype)), sy: sy,
            yy: yy)
    }

    /// From numbers in little-endian order.
    public init(
        number: Int, dtype: HistoryDType, littleEndianOctets: ArraySlice<UInt8>, sy: [Double],
        yy: [Double]
    ) {
        let octets = swappedUnlessLittleEndian(littleEndianOctets, size: dtype.size)
        self.init(
            number: number, dtype: dtype, octets: PairOctets(copying: octets, number: number),
            sy: sy, yy: yy)
    }

    /// What stands behind the numbers of a pair, and how many octets those take.
    public struct Columns {
        public var dtype: HistoryDType
        public var octetCount: Int
        public var sy: [Double]
        public var yy: [Double]

        public init(dtype: HistoryDType, octetCount: Int, sy: [Double], yy: [Double]) {
            self.dtype = dtype
            self.octetCount = octetCount
            self.sy = sy
            self.yy = yy
        }
    }

    /// From `count` octets that `fill` writes to where they stay: numbers in little-endian order,
    /// and behind them what `columns` finds, or it is none.
    public init?(
        number: Int, count: Int, filledBy fill: (UnsafeMutableRawBufferPointer) -> Void,
        columns: (ArraySlice<UInt8>) -> Columns?
    ) {
        let read = unsafe PairOctets(count: count, number: number, filledBy: fill)
        guard let columns = columns(read.octets) else { return nil }
        var octets = read.prefix(columns.octetCount)
        if UInt16(1).littleEndian != 1 {
            let swapped = swappedUnlessLittleEndian(octets.octets, size: columns.dtype.size)
            octets = PairOctets(copying: swapped, number: number)
        }
        self.init(
            number: number, dtype: columns.dtype, octets: octets, sy: columns.sy, yy: columns.yy)
    }

    /// s, then y, in little-endian order; O(1) where that is the machine's.
    public var littleEndianOctets: ArraySlice<UInt8> {
        swappedUnlessLittleEndian(octets.octets, size: dtype.size)
    }

    /// Numbers that s has, and y.
    public var count: Int { octets.count / (2 * dtype.size) }
    /// s in the session's precision. O(n).
    public var s: [Scalar] { vector(0, as: Scalar.self) }
    /// y in the session's precision. O(n).
    public var y: [Scalar] { vector(1, as: Scalar.self) }

    func vector<Wanted: EngineScalar>(_ index: Int, as _: Wanted.Type) -> [Wanted] {
        func read<Stored: StoredNumber>(_: Stored.Type) -> [Wanted] {
            let count = count
            // Sound: octets has 2 count numbers of this type.
            return unsafe octets.withUnsafeBytes { bytes in
                guard let base = bytes.baseAddress else { return [] }
                return (0..<count).map {
                    Wanted(unsafe Stored.one(base, index * count + $0))
                }
            }
        }
        switch dtype {
        case .float64: return read(Double.self)
        case .float32: return read(Float.self)
        case .bfloat16: return read(BFloat16.self)
        }
    }
}

private func swappedUnlessLittleEndian(
    _ octets: ArraySlice<UInt8>, size: Int
) -> ArraySlice<UInt8> {
    if UInt16(1).littleEndian == 1 { return octets }
    var swapped = octets
    for start in stride(from: octets.startIndex, to: octets.endIndex, by: size) {
        swapped[start..<start + size].reverse()
    }
    return swapped
}

/// Packs s and y, each number rounded to `dtype`.
func packed<Scalar: EngineScalar>(_ s: [Scalar], _ y: [Scalar], as dtype: HistoryDType) -> [UInt8] {
    func packed<Stored: StoredNumber>(_: Stored.Type) -> [UInt8] {
        let size = MemoryLayout<Stored>.stride
        // Sound: every number has its own place below the capacity, and all are written.
        return unsafe [UInt8](unsafeUninitializedCapacity: (s.count + y.count) * size) {
            buffer, initializedCount in
            guard let base = buffer.baseAddress else { return }
            let target = UnsafeMutableRawPointer(base)
            for (index, value) in s.enumerated() {
                unsafe target.storeBytes(
                    of: Stored.stored(Double(value)), toByteOffset: index * size, as: Stored.self)
            }
            for (index, value) in y.enumerated() {
                unsafe target.storeBytes(
                    of: Stored.stored(Double(value)), toByteOffset: (s.count + index) * size,
                    as: Stored.self)
            }
            initializedCount = (s.count + y.count) * size
        }
    }
    switch dtype {
    case .float64: return packed(Double.self)
    case .float32: return packed(Float.self)
    case .bfloat16: return packed(BFloat16.self)
    }
}
