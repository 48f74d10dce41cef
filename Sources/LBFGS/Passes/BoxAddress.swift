/// Bounds and L1 weights as the passes read them: eight lanes at a time, whether a number stands
/// for all parameters or each has its own.
///
/// Theory. An L1 term w |x| has a kink at 0. On either side of it the term is linear, so that a
/// point's orthant is a box in which the loss is smooth (Andrew & Gao 2007, OWL-QN):
///
///     x > 0:  slope g + w, and x stays at 0 or above
///     x < 0:  slope g - w, and x stays at 0 or below
///     x = 0:  slope g + w and the upper side where that is negative, g - w and the lower side
///             where that is positive; else 0 is the minimum, and x does not move
///
/// The pseudo-gradient and the box of the orthant take the places of gradient and bounds; the rest
/// of the algorithm knows no L1 term.
@unsafe struct BoxAddress<Scalar: EngineScalar> {
    let lower: UnsafePointer<Scalar>?
    let upper: UnsafePointer<Scalar>?
    let weights: UnsafePointer<Scalar>?
    /// The numbers that stand for all, where there is no vector.
    let lowerForAll: Double
    let upperForAll: Double
    let weightForAll: Double
    let hasWeights: Bool

    /// The lower bounds of eight parameters, or of fewer at the end of the vector.
    @inline(__always)
    func lowerLanes(_ offset: Int, _ left: Int) -> Lanes {
        // Sound: `left` numbers can be read.
        guard let lower = unsafe lower else { return unsafe repeated(lowerForAll, left) }
        return unsafe someLanes(lower, offset, left)
    }

    /// The upper bounds.
    @inline(__always)
    func upperLanes(_ offset: Int, _ left: Int) -> Lanes {
        // Sound: as above.
        guard let upper = unsafe upper else { return unsafe repeated(upperForAll, left) }
        return unsafe someLanes(upper, offset, left)
    }

    /// The weights; 0 if there is no L1 term.
    @inline(__always)
    func weightLanes(_ offset: Int, _ left: Int) -> Lanes {
        // Sound: as above.
        guard let weights = unsafe weights else { return unsafe Lanes(repeating: weightForAll) }
        return unsafe someLanes(weights, offset, left)
    }

    /// Pseudo-gradient and box at a point.
    @inline(__always)
    func part(_ offset: Int, _ left: Int, point x: Lanes, gradient g: Lanes) -> BoxPart {
        var part = BoxPart(
            gradient: g, lower: unsafe lowerLanes(offset, left),
            upper: unsafe upperLanes(offset, left), isKept: SIMDMask(repeating: false))
        guard unsafe hasWeights else { return part }
        let w = unsafe weightLanes(offset, left)
        let hasWeight = w .> 0
        let (above, below) = (g + w, g - w)
        let isUpper = (x .> 0) .| ((x .== 0) .& (above .< 0))
        let isLower = (x .< 0) .| ((x .== 0) .& (below .> 0))
        part.isKept = hasWeight .& .!(isUpper .| isLower)
        part.gradient.replace(with: above, where: hasWeight .& isUpper)
        part.gradient.replace(with: below, where: hasWeight .& isLower)
        part.gradient.replace(with: Lanes.zero, where: part.isKept)
        part.lower.replace(
            with: Lanes.zero, where: hasWeight .& isUpper .& (part.lower .< 0))
        part.upper.replace(
            with: Lanes.zero, where: hasWeight .& isLower .& (part.upper .> 0))
        return part
    }
}

/// Up to eight parameters: their pseudo-gradient, and their box in the orthant.
struct BoxPart {
    var gradient: Lanes
    var lower: Lanes
    var upper: Lanes
    /// Where 0 is the minimum between two kinks.
    var isKept: SIMDMask<SIMD8<Int64>>
}

/// The same number eight times, or `left` times with zeros behind.
@inline(__always)
private func repeated(_ value: Double, _ left: Int) -> Lanes {
    if left >= 8 { return Lanes(repeating: value) }
    var lanes = Lanes.zero
    for index in 0..<left { lanes[index] = value }
    return lanes
}

/// Eight numbers, or the last `left` of a vector with zeros behind them.
@inline(__always)
func someLanes<Scalar: EngineScalar>(
    _ values: UnsafePointer<Scalar>, _ offset: Int, _ left: Int
) -> Lanes {
    // Sound: `left` numbers can be read.
    left >= 8 ? unsafe lanes(values, offset) : unsafe tailLanes(values, offset, left)
}

/// Rounds and writes eight numbers, or the last `left` of a vector.
@inline(__always)
func storeLanes<Scalar: EngineScalar>(
    _ lanes: Lanes, _ target: UnsafeMutablePointer<Scalar>, _ offset: Int, _ left: Int
) {
    // Sound: `left` numbers can be written.
    let narrow = Scalar.narrowed(lanes)
    if left >= 8 {
        unsafe UnsafeMutableRawPointer(target + offset).storeBytes(
            of: narrow, as: SIMD8<Scalar>.self)
    } else {
        for index in 0..<left { unsafe target[offset + index] = narrow[index] }
    }
}

/// Eight numbers rounded to the optimizer's precision.
@inline(__always)
func rounded<Scalar: EngineScalar>(_ lanes: Lanes, to _: Scalar.Type) -> Lanes {
    Scalar.widened(Scalar.narrowed(lanes))
}

/// Whether each of eight parameters, or of fewer at the end, is on the face: see `FaceStatus`.
@inline(__always)
func faceLanes(
    _ status: UnsafePointer<UInt8>, _ offset: Int, _ left: Int
) -> SIMDMask<SIMD8<Int64>> {
    let word = unsafe SIMD8<UInt64>(repeating: statusWord(status, offset, left))
    // As 1 plus a multiple of the spacing of numbers there, because comparing vectors of whole
    // numbers is compiled to a branch for each lane.
    let bits =
        ((word &>> octetShifts) & SIMD8(repeating: 0xff)) | SIMD8(repeating: (1.0).bitPattern)
    return unsafe unsafeBitCast(bits, to: Lanes.self) .== 1
}

/// The octets of eight parameters as one number, the first as its lowest octet, with zeros behind
/// the last `left`. A vector of eight octets would be converted lane by lane.
@inline(__always)
func statusWord(_ status: UnsafePointer<UInt8>, _ offset: Int, _ left: Int) -> UInt64 {
    // Sound: `left` octets can be read.
    if left >= 8 {
        return unsafe UInt64(
            littleEndian: UnsafeRawPointer(status + offset).loadUnaligned(as: UInt64.self))
    }
    var word: UInt64 = 0
    for index in 0..<left { unsafe word |= UInt64(status[offset + index]) << (8 * index) }
    return word
}

/// Where each of eight octets begins in a number.
var octetShifts: SIMD8<UInt64> { SIMD8(0, 8, 16, 24, 32, 40, 48, 56) }
