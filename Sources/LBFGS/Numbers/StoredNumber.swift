/// The precision in which curvature pairs are stored. That of x, g and d, and of dot products, does
/// not depend on it.
///
/// float32 pairs take half the memory and half the memory traffic of float64 pairs; bfloat16 pairs,
/// which have float32's range and 8 significant bits, take a quarter. The direction is that of
/// L-BFGS with the rounded pairs: every dot product is taken with the stored numbers, so that pairs
/// whose stored curvature is positive give a direction of descent.
public enum HistoryDType: String, Equatable, Sendable, Codable, CaseIterable {
    /// IEEE 754 double precision, 8 bytes.
    case float64
    /// IEEE 754 single precision, 4 bytes.
    case float32
    /// The upper half of a float32, 2 bytes.
    case bfloat16

    /// The bytes of a number.
    public var size: Int {
        switch self {
        case .float64: 8
        case .float32: 4
        case .bfloat16: 2
        }
    }
}

// A register of the machine that the engine is compiled for. Only speed depends on its width: sums
// run in sixteen lanes, whatever a register holds.
#if LBFGS_WIDE_REGISTERS
    typealias Tile = SIMD4<Double>
    private typealias FloatTile = SIMD4<Float>
    private typealias HalfTile = SIMD4<UInt16>
    private typealias WordTile = SIMD4<UInt32>
    private typealias LongTile = SIMD4<UInt64>
#else
    typealias Tile = SIMD2<Double>
    private typealias FloatTile = SIMD2<Float>
    private typealias HalfTile = SIMD2<UInt16>
    private typealias WordTile = SIMD2<UInt32>
    private typealias LongTile = SIMD2<UInt64>
#endif

/// The numbers of a tile; a divisor of eight.
let tileWidth = Tile.scalarCount

/// A number of a stored pair. It is read as Float64, and rounded to nearest, ties to even, when it
/// is stored.
protocol StoredNumber: BitwiseCopyable {
    /// Reads a tile of numbers from index `index` on.
    static func tile(_ base: UnsafeRawPointer, _ index: Int) -> Tile
    /// Rounds a tile of numbers and writes them from index `index` on.
    static func store(_ tile: Tile, _ base: UnsafeMutableRawPointer, _ index: Int)
    /// Rounds a number.
    static func stored(_ value: Double) -> Self
    /// Rounds eight numbers and writes them.
    static func narrowed(_ lanes: SIMD8<Double>, to target: UnsafeMutableRawPointer)
    /// The number as Float64.
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
    static func store(_ tile: Tile, _ base: UnsafeMutableRawPointer, _ index: Int) {
        // Sound: as above.
        unsafe base.storeBytes(of: tile, toByteOffset: 8 &* index, as: Tile.self)
    }
    @inline(__always)
    static func stored(_ value: Double) -> Double { value }
    @inline(__always)
    static func narrowed(_ lanes: SIMD8<Double>, to target: UnsafeMutableRawPointer) {
        // Sound: callers have memory for eight numbers.
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
    static func store(_ tile: Tile, _ base: UnsafeMutableRawPointer, _ index: Int) {
        // Sound: as above.
        unsafe base.storeBytes(of: FloatTile(tile), toByteOffset: 4 &* index, as: FloatTile.self)
    }
    @inline(__always)
    static func stored(_ value: Double) -> Float { Float(value) }
    @inline(__always)
    static func narrowed(_ lanes: SIMD8<Double>, to target: UnsafeMutableRawPointer) {
        // Sound: callers have memory for eight numbers.
        unsafe target.storeBytes(of: Float.narrowed(lanes), as: SIMD8<Float>.self)
    }
    @inline(__always)
    var wide: Double { Double(self) }
}

/// The upper half of a float32: 8 significant bits and float32's range.
struct BFloat16: StoredNumber {
    var bits: UInt16

    @inline(__always)
    static func store(_ tile: Tile, _ base: UnsafeMutableRawPointer, _ index: Int) {
        // Sound: as above.
        unsafe base.storeBytes(of: rounded(tile), toByteOffset: 2 &* index, as: HalfTile.self)
    }
    @inline(__always)
    static func stored(_ value: Double) -> BFloat16 {
        BFloat16(bits: rounded(Tile(repeating: value))[0])
    }

    /// Rounds to nearest, ties to even, and to infinity beyond the range. It rounds as Float64,
    /// once, so that the conversion to float32 is exact: normal numbers by an integer addition that
    /// carries into the exponent, subnormal ones by adding a number whose last place is theirs.
    @inline(__always)
    private static func rounded(_ values: Tile) -> HalfTile {
        let bits = bitPatterns(values)
        let sign = bits & LongTile(repeating: 1 << 63)
        let magnitude = numbers(bits ^ sign)
        // Float64's significand is 45 bits longer than bfloat16's.
        let isOdd = ((bits ^ sign) &>> 45) & LongTile(repeating: 1)
        let carried = (bits ^ sign) &+ isOdd &+ LongTile(repeating: (1 << 44) - 1)
        var result = numbers(carried & LongTile(repeating: ~0 << 45))
        let shift = Tile(repeating: 0x1.8p-81)
        result.replace(with: (magnitude + shift) - shift, where: magnitude .< 0x1p-126)
        result = numbers(bitPatterns(result) | sign)
        result.replace(with: .nan, where: values .!= values)
        // Sound: the same size, and any bits are a number.
        let words = unsafe unsafeBitCast(FloatTile(result), to: WordTile.self)
        return HalfTile(truncatingIfNeeded: words &>> 16)
    }
    @inline(__always)
    private static func bitPatterns(_ values: Tile) -> LongTile {
        // Sound: as above.
        unsafe unsafeBitCast(values, to: LongTile.self)
    }
    @inline(__always)
    private static func numbers(_ bits: LongTile) -> Tile {
        // Sound: as above.
        unsafe unsafeBitCast(bits, to: Tile.self)
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
        // Sound: callers have memory for eight numbers, which are whole tiles.
        unsafe withUnsafeBytes(of: lanes) { wide in
            for index in stride(from: 0, to: 8, by: tileWidth) {
                let tile = unsafe wide.loadUnaligned(fromByteOffset: 8 * index, as: Tile.self)
                unsafe target.storeBytes(
                    of: rounded(tile), toByteOffset: 2 * index, as: HalfTile.self)
            }
        }
    }
    @inline(__always)
    var wide: Double { Double(Float(bitPattern: UInt32(bits) &<< 16)) }
}
