/// The precision in which a session stores its vectors. Dot products accumulate in Float64 in both.
public enum DType: String, Sendable, Codable, CaseIterable {
    case float64
    case float32

    /// Bytes a number.
    public var size: Int {
        switch self {
        case .float64: 8
        case .float32: 4
        }
    }

    /// The precision of pairs unless another is asked for: the same.
    var historyDType: HistoryDType {
        switch self {
        case .float64: .float64
        case .float32: .float32
        }
    }
}

/// A flat vector in one of the two precisions.
public enum Vector: Equatable, Sendable {
    case float64([Double])
    case float32([Float])

    public init(_ values: [Double], as dtype: DType) {
        switch dtype {
        case .float64: self = .float64(values)
        case .float32: self = .float32(values.map(Float.init))
        }
    }

    public var dtype: DType {
        switch self {
        case .float64: .float64
        case .float32: .float32
        }
    }

    public var count: Int {
        switch self {
        case .float64(let values): values.count
        case .float32(let values): values.count
        }
    }

    /// The values in Float64; exact in both cases.
    public var doubles: [Double] {
        switch self {
        case .float64(let values): values
        case .float32(let values): values.map(Double.init)
        }
    }

    /// Little-endian bytes, the form in which vectors are stored and digested.
    public var bytes: [UInt8] {
        switch self {
        case .float64(let values): littleEndianBytes(values)
        case .float32(let values): littleEndianBytes(values)
        }
    }

    /// The same bytes where they are. They must not leave `body`.
    @unsafe
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        switch self {
        case .float64(let values): unsafe values.withUnsafeBytes(body)
        case .float32(let values): unsafe values.withUnsafeBytes(body)
        }
    }

    /// The inverse of `bytes`; nil when the length is no multiple of the number's size.
    public init?(bytes: [UInt8], as dtype: DType) {
        guard bytes.count.isMultiple(of: dtype.size) else { return nil }
        switch dtype {
        case .float64: self = .float64(values(fromLittleEndianBytes: bytes))
        case .float32: self = .float32(values(fromLittleEndianBytes: bytes))
        }
    }
}

/// A number whose bytes can be copied as they stand: both kinds of float that sessions store.
protocol PlainNumber: BitwiseCopyable {
    static var zero: Self { get }
}
extension Double: PlainNumber {}
extension Float: PlainNumber {}

#if _endian(big)
    #error("vectors are copied as they stand in memory, which must be little-endian")
#endif

func littleEndianBytes<Number: PlainNumber>(_ values: [Number]) -> [UInt8] {
    // Sound: the bytes of initialised plain numbers are initialised, and are copied out.
    unsafe values.withUnsafeBytes { unsafe Array($0) }
}

func values<Number: PlainNumber>(fromLittleEndianBytes bytes: [UInt8]) -> [Number] {
    let count = bytes.count / MemoryLayout<Number>.stride
    var values = [Number](repeating: .zero, count: count)
    // Sound: the destination holds count * stride bytes, no more are copied, and every bit
    // pattern is a valid float.
    unsafe values.withUnsafeMutableBytes { destination in
        unsafe bytes.withUnsafeBytes { source in
            unsafe destination.copyMemory(
                from: UnsafeRawBufferPointer(rebasing: source.prefix(destination.count)))
        }
    }
    return values
}

extension Vector {
    /// max |v_i|; NaN and infinity propagate.
    var normInf: Double {
        switch self {
        case .float64(let values): Double.normInf(values)
        case .float32(let values): Float.normInf(values)
        }
    }

    var negated: Vector {
        switch self {
        case .float64(let values): .float64(values.map { -$0 })
        case .float32(let values): .float32(values.map { -$0 })
        }
    }

    var isFinite: Bool {
        switch self {
        case .float64(let values): Double.isFinite(values)
        case .float32(let values): Float.isFinite(values)
        }
    }
}
