/// A curvature pair (s, y) with its column of the small matrices of `CurvatureHistory`.
///
/// A pair never changes once it is in a history. It can therefore be written to disk once, however
/// many snapshots refer to it, and share its memory with its copies.
///
/// Memory: 2 n numbers of ``dtype``, and 2 for each pair that was in the history before it.
public struct CurvaturePair<Scalar: EngineScalar>: Equatable, Sendable {
    /// 1, 2, 3 ... over the optimizer's life.
    public internal(set) var number: Int
    /// The precision of the stored numbers.
    public internal(set) var dtype: HistoryDType
    var storage: PairStorage
    /// s_i.y for the pairs i in the history when this one was added, oldest first, and its own s.y
    /// last.
    public internal(set) var sy: [Double]
    /// y_i.y for the same pairs.
    public internal(set) var yy: [Double]

    /// - Precondition: `storage` holds two vectors of equal counts; `sy` and `yy` have equal counts
    ///   of at least 1.
    init(number: Int, dtype: HistoryDType, storage: PairStorage, sy: [Double], yy: [Double]) {
        precondition(storage.count.isMultiple(of: 2 * dtype.size))
        precondition(sy.count == yy.count && !sy.isEmpty)
        self.number = number
        self.dtype = dtype
        self.storage = storage
        self.sy = sy
        self.yy = yy
    }

    /// Creates a pair from vectors, whose numbers are rounded to `dtype`. O(n).
    /// - Parameters:
    ///   - number: The pair's number.
    ///   - dtype: The precision of the stored numbers.
    ///   - s: The step; n numbers.
    ///   - y: The change of the gradient along it; n numbers.
    ///   - sy: s_i.y for the older pairs and for this one, at least 1 number.
    ///   - yy: y_i.y for the same pairs.
    /// - Precondition: `s` and `y` have equal counts, and so have `sy` and `yy`.
    public init(
        number: Int, dtype: HistoryDType = Scalar.historyDType, s: [Scalar], y: [Scalar],
        sy: [Double], yy: [Double]
    ) {
        precondition(s.count == y.count)
        self.init(
            number: number, dtype: dtype, storage: PairStorage(packed(s, y, as: dtype)), sy: sy,
            yy: yy)
    }

    /// Creates a pair from stored octets. O(n).
    /// - Parameters:
    ///   - number: The pair's number.
    ///   - dtype: The precision of the stored numbers.
    ///   - littleEndianOctets: s, then y, in little-endian order.
    ///   - sy: s_i.y for the older pairs and for this one, at least 1 number.
    ///   - yy: y_i.y for the same pairs.
    public init(
        number: Int, dtype: HistoryDType, littleEndianOctets: ArraySlice<UInt8>, sy: [Double],
        yy: [Double]
    ) {
        let octets = convertedLittleEndian(littleEndianOctets, size: dtype.size)
        self.init(
            number: number, dtype: dtype, storage: PairStorage(copying: octets, number: number),
            sy: sy, yy: yy)
    }

    /// The part of a stored pair that follows its vectors, and how many octets the vectors take.
    public struct Columns {
        /// The precision of the stored numbers.
        public var dtype: HistoryDType
        /// The octets of s and y together.
        public var octetCount: Int
        /// As ``CurvaturePair/sy``.
        public var sy: [Double]
        /// As ``CurvaturePair/yy``.
        public var yy: [Double]

        /// Columns that were read from behind the vectors.
        public init(dtype: HistoryDType, octetCount: Int, sy: [Double], yy: [Double]) {
            self.dtype = dtype
            self.octetCount = octetCount
            self.sy = sy
            self.yy = yy
        }
    }

    /// Creates a pair from octets that are read straight into its memory. O(n).
    /// - Parameters:
    ///   - number: The pair's number.
    ///   - count: The number of octets to read.
    ///   - fill: Called once with the memory, which it must fill: s and y in little-endian order,
    ///     and whatever follows them.
    ///   - columns: Interprets the octets that were read; nil if they are no pair.
    /// - Returns: nil if `columns` returned nil.
    public init?(
        number: Int, count: Int, filledBy fill: (UnsafeMutableRawBufferPointer) -> Void,
        columns: (ArraySlice<UInt8>) -> Columns?
    ) {
        let read = unsafe PairStorage(count: count, number: number, filledBy: fill)
        guard let columns = columns(read.octets) else { return nil }
        var storage = read.prefix(columns.octetCount)
        if !isLittleEndian {
            let swapped = convertedLittleEndian(storage.octets, size: columns.dtype.size)
            storage = PairStorage(copying: swapped, number: number)
        }
        self.init(
            number: number, dtype: columns.dtype, storage: storage, sy: columns.sy,
            yy: columns.yy)
    }

    /// s, then y, in little-endian order. O(1) on little-endian machines.
    public var littleEndianOctets: ArraySlice<UInt8> {
        convertedLittleEndian(storage.octets, size: dtype.size)
    }

    /// n, the count of s and of y.
    public var count: Int { storage.count / (2 * dtype.size) }
    /// The step s, in the optimizer's precision. O(n).
    public var s: [Scalar] { vector(0, as: Scalar.self) }
    /// The change of the gradient y, in the optimizer's precision. O(n).
    public var y: [Scalar] { vector(1, as: Scalar.self) }

    /// s (index 0) or y (index 1).
    func vector<Wanted: EngineScalar>(_ index: Int, as _: Wanted.Type) -> [Wanted] {
        func read<Stored: StoredNumber>(_: Stored.Type) -> [Wanted] {
            let count = count
            // Sound: the storage has 2 count numbers of this type.
            return unsafe storage.withUnsafeBytes { bytes in
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

/// The octets of s, then y, each number rounded to `dtype`. O(n).
func packed<Scalar: EngineScalar>(_ s: [Scalar], _ y: [Scalar], as dtype: HistoryDType) -> [UInt8] {
    func packed<Stored: StoredNumber>(_: Stored.Type) -> [UInt8] {
        let size = MemoryLayout<Stored>.stride
        // Sound: every number is written at its own offset below the capacity.
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
