/// The precision in which curvature pairs are stored. x, g, d and all dot products keep theirs.
///
/// float32 pairs need half the memory of float64 ones, and half the traffic; bfloat16 pairs, with
/// float32's range and 8 significant bits, a quarter. The direction is that of L-BFGS on the
/// rounded pairs: every dot product is taken with what is stored, so that a pair of positive
/// curvature as stored keeps the direction one of descent.
public enum HistoryDType: String, Equatable, Sendable, Codable, CaseIterable {
    case float64
    case float32
    case bfloat16

    /// Bytes a number.
    public var size: Int {
        switch self {
        case .float64: 8
        case .float32: 4
        case .bfloat16: 2
        }
    }
}

// A register of the machine that the engine is compiled for. Nothing but speed depends on it: sums
// run in sixteen lanes whatever a register holds.
#if LBFGS_WIDE_REGISTERS
    typealias Tile = SIMD4<Double>
    private typealias FloatTile = SIMD4<Float>
    private typealias HalfTile = SIMD4<UInt16>
    private typealias WordTile = SIMD4<UInt32>
#else
    typealias Tile = SIMD2<Double>
    private typealias FloatTile = SIMD2<Float>
    private typealias HalfTile = SIMD2<UInt16>
    private typealias WordTile = SIMD2<UInt32>
#endif

/// Numbers in a tile; divides eight.
let tileWidth = Tile.scalarCount

/// A number as a pair stores it; read as Float64, rounded to nearest even when it is stored.
protocol StoredNumber: BitwiseCopyable {
    /// Reads a tile from index `index` on.
    static func tile(_ base: UnsafeRawPointer, _ index: Int) -> Tile
    static func stored(_ value: Double) -> Self
    static func narrowed(_ lanes: SIMD8<Double>, to target: UnsafeMutableRawPointer)
    var wide: Double { get }
}

extension StoredNumber {
    @inline(__always)
    static func one(_ base: UnsafeRawPointer, _ index: Int) -> Double {
        // Sound: callers stay below the count of the vector; any bits are a number.
        unsafe base.loadUnaligned(
            fromByteOffset: index &* MemoryLayout<Self>.stride, as: Self.self
        ).wide
    }
}

extension Double: StoredNumber {
    @inline(__always)
    static func tile(_ base: UnsafeRawPointer, _ index: Int) -> Tile {
        // Sound: callers stay a tile below the count of the vector.
        unsafe base.loadUnaligned(fromByteOffset: 8 &* index, as: Tile.self)
    }
    @inline(__always)
    static func stored(_ value: Double) -> Double { value }
    @inline(__always)
    static func narrowed(_ lanes: SIMD8<Double>, to target: UnsafeMutableRawPointer) {
        // Sound: callers have room for eight numbers.
        unsafe target.storeBytes(of: lanes, as: SIMD8<Double>.self)
    }
    @inline(__always)
    var wide: Double { self }
}

extension Float: StoredNumber {
    @inline(__always)
    static func tile(_ base: UnsafeRawPointer, _ index: Int) -> Tile {
        // Sound: callers stay a tile below the count of the vector.
        Tile(
            unsafe base.loadUnaligned(fromByteOffset: 4 &* index, as: FloatTile.self))
    }
    @inline(__always)
    static func stored(_ value: Double) -> Float { Float(value) }
    @inline(__always)
    static func narrowed(_ lanes: SIMD8<Double>, to target: UnsafeMutableRawPointer) {
        // Sound: callers have room for eight numbers.
        unsafe target.storeBytes(of: SIMD8<Float>(lanes), as: SIMD8<Float>.self)
    }
    @inline(__always)
    var wide: Double { Double(self) }
}

/// The upper half of a float32: 8 significant bits and float32's range.
struct BFloat16: StoredNumber {
    var bits: UInt16

    /// To nearest, ties to even; beyond the range to infinity. Correct below the normal range too:
    /// the way through float32 rounds to odd, which the second rounding can't mistake for a tie
    /// (Boldo & Melquiond 2008).
    @inline(__always)
    static func stored(_ value: Double) -> BFloat16 {
        let nearest = Float(value)
        guard !nearest.isNaN else { return BFloat16(bits: 0x7fc0) }
        var bits = nearest.bitPattern
        let back = Double(nearest)
        if abs(back) > abs(value) { bits &-= 1 }
        if back != value { bits |= 1 }
        let carry = 0x7fff &+ ((bits &>> 16) & 1)
        return BFloat16(bits: UInt16(truncatingIfNeeded: (bits &+ carry) &>> 16))
    }
    @inline(__always)
    static func tile(_ base: UnsafeRawPointer, _ index: Int) -> Tile {
        // Sound: callers stay a tile below the count of the vector.
        let halves = unsafe base.loadUnaligned(fromByteOffset: 2 &* index, as: HalfTile.self)
        let words = WordTile(truncatingIfNeeded: halves) &<< 16
        // Sound: the same size, and any bits are a number.
        return Tile(unsafe unsafeBitCast(words, to: FloatTile.self))
    }
    @inline(__always)
    static func narrowed(_ lanes: SIMD8<Double>, to target: UnsafeMutableRawPointer) {
        var narrow = SIMD8<UInt16>.zero
        for index in 0..<8 { narrow[index] = stored(lanes[index]).bits }
        // Sound: callers have room for eight numbers.
        unsafe target.storeBytes(of: narrow, as: SIMD8<UInt16>.self)
    }
    @inline(__always)
    var wide: Double { Double(Float(bitPattern: UInt32(bits) &<< 16)) }
}
