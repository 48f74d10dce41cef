internal import Glibc

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

    /// The default precision of pairs: the session's own.
    package var historyDType: HistoryDType {
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

    public var byteCount: Int { count * dtype.size }

    /// The values in Float64; exact in both cases.
    public var doubles: [Double] {
        switch self {
        case .float64(let values): values
        case .float32(let values): values.map(Double.init)
        }
    }

    /// `count` numbers whose bytes `fill` writes, all of them.
    public init(count: Int, dtype: DType, fill: (UnsafeMutableRawBufferPointer) -> Void) {
        switch dtype {
        case .float64: self = unsafe .float64(numbers(count, filledBy: fill))
        case .float32: self = unsafe .float32(numbers(count, filledBy: fill))
        }
    }

    /// Gives `body` the little-endian bytes without copying them.
    public func withUnsafeBytes<Value>(
        _ body: (UnsafeRawBufferPointer) throws -> Value
    ) rethrows -> Value {
        // Sound: the bytes of initialised plain numbers are initialised.
        switch self {
        case .float64(let values): try unsafe values.withUnsafeBytes { try unsafe body($0) }
        case .float32(let values): try unsafe values.withUnsafeBytes { try unsafe body($0) }
        }
    }

    /// Little-endian bytes, the form in which vectors are stored and digested.
    public var bytes: [UInt8] {
        switch self {
        case .float64(let values): littleEndianBytes(values)
        case .float32(let values): littleEndianBytes(values)
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

/// A number whose bytes can be copied: the two kinds of float that sessions store.
package protocol ByteCopyableNumber: BitwiseCopyable {
    static var zero: Self { get }
}
extension Double: ByteCopyableNumber {}
extension Float: ByteCopyableNumber {}

#if _endian(big)
    #error("vectors are stored and sent as they are in memory, which must be little-endian")
#endif

private func numbers<Number: ByteCopyableNumber>(
    _ count: Int, filledBy fill: (UnsafeMutableRawBufferPointer) -> Void
) -> [Number] {
    // Sound: `fill` writes all of it, and every bit pattern is a number.
    unsafe [Number](unsafeUninitializedCapacity: count) { buffer, initialized in
        unsafe adviseHugePages(UnsafeMutableRawBufferPointer(buffer))
        unsafe fill(UnsafeMutableRawBufferPointer(buffer))
        initialized = count
    }
}

/// Asks for huge pages. The memory of a long vector is new each time, and getting it in pages of
/// 4 KiB takes about as long as filling it.
private func adviseHugePages(_ buffer: UnsafeMutableRawBufferPointer) {
    let page = 2 << 20
    let start = (Int(bitPattern: buffer.baseAddress) + page - 1) / page * page
    let end = (Int(bitPattern: buffer.baseAddress) + buffer.count) / page * page
    guard end - start >= 2 * page else { return }
    // Sound: whole pages within the buffer. It is a hint, whose failure can be ignored.
    _ = unsafe madvise(UnsafeMutableRawPointer(bitPattern: start), end - start, MADV_HUGEPAGE)
}

package func littleEndianBytes<Number: ByteCopyableNumber>(_ values: [Number]) -> [UInt8] {
    // Sound: the bytes of initialised plain numbers are initialised, and are copied out.
    unsafe values.withUnsafeBytes { unsafe Array($0) }
}

package func values<Number: ByteCopyableNumber>(fromLittleEndianBytes bytes: [UInt8]) -> [Number] {
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
