// The passes over vectors that bounds and an L1 term add, block by block. Where a number is rounded
// to the optimizer's precision, comparisons use the rounded number, so that they mean the same in
// all passes.

/// Where a parameter is, as an octet whose lowest bit says whether the face holds it.
enum FaceStatus {
    static let free: UInt8 = 0
    /// At a bound, or at an L1 term's kink, and the gradient keeps it there.
    static let held: UInt8 = 1
    /// Fixed by equal bounds, or frozen: it leaves every dot product.
    static let fixed: UInt8 = 3
}

/// The lowest bit of each of eight octets.
private let lowestBits: UInt64 = 0x0101_0101_0101_0101

/// The indices of the parameters that are on one of two faces and not on the other. O(n), eight
/// parameters at a time.
func differences(_ first: [UInt8], _ second: [UInt8]) -> [Int] {
    precondition(first.count == second.count)
    var found: [Int] = []
    // Sound: every index stays below the count of both.
    unsafe first.withUnsafeBytes { first in
        unsafe second.withUnsafeBytes { second in
            var offset = 0
            while offset &+ 8 <= first.count {
                let one = unsafe first.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                let other = unsafe second.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
                var bits = UInt64(littleEndian: (one ^ other) & lowestBits)
                while bits != 0 {
                    found.append(offset &+ bits.trailingZeroBitCount / 8)
                    bits &= bits &- 1
                }
                offset &+= 8
            }
            while offset < first.count {
                if unsafe (first[offset] ^ second[offset]) & 1 != 0 { found.append(offset) }
                offset += 1
            }
        }
    }
    return found
}

/// Finds the face on which the next direction lies: the parameters that the gradient holds at their
/// bounds, and those that are fixed. Writes the pseudo-gradient where there is an L1 term.
@unsafe struct FacePass<Scalar: EngineScalar> {
    let count: Int
    let point: UnsafePointer<Scalar>
    let gradient: UnsafePointer<Scalar>
    let box: BoxAddress<Scalar>
    let status: UnsafeMutablePointer<UInt8>
    let pseudoGradient: UnsafeMutablePointer<Scalar>?
    /// [block]: how many parameters are not free.
    let sums: UnsafeMutablePointer<Double>

    @inline(__always)
    func run(block: Int) {
        let end = unsafe min((block + 1) * blockLength, count)
        var offset = block * blockLength
        var total = 0
        // Sound: every index stays below `count`, which all vectors have.
        while offset < end {
            let left = end &- offset
            let (x, g) = unsafe (
                someLanes(point, offset, left), someLanes(gradient, offset, left)
            )
            let part = unsafe box.part(offset, left, point: x, gradient: g)
            let isHeld =
                ((part.gradient .> 0) .& (x .<= part.lower))
                .| ((part.gradient .< 0) .& (x .>= part.upper)) .| part.isKept
            let isFixed = unsafe box.lowerLanes(offset, left) .== box.upperLanes(offset, left)
            var value = SIMD8<Int64>()
            value.replace(with: Int64(FaceStatus.held), where: isHeld)
            value.replace(with: Int64(FaceStatus.fixed), where: isFixed)
            let word = (SIMD8<UInt64>(truncatingIfNeeded: value) &<< octetShifts).wrappedSum()
            if left >= 8 {
                unsafe UnsafeMutableRawPointer(status + offset).storeBytes(
                    of: word.littleEndian, as: UInt64.self)
                total &+= (word & lowestBits).nonzeroBitCount
            } else {
                for index in 0..<left {
                    let octet = UInt8(truncatingIfNeeded: word >> (8 * index))
                    unsafe status[offset + index] = octet
                    if octet != FaceStatus.free { total += 1 }
                }
            }
            if let pseudoGradient = unsafe pseudoGradient {
                unsafe storeLanes(part.gradient, pseudoGradient, offset, left)
            }
            offset &+= 8
        }
        unsafe sums[block] = Double(total)
    }
}

/// Finishes a direction: zero on the face, and within the box where it is to be projected; with its
/// slope, its largest component, and the trial point at a step length of 1.
@unsafe struct BoxDirectionPass<Scalar: EngineScalar> {
    /// Sums of a block: g.d, ||d||_inf, how many components leave the box, two that are 0 if d and
    /// the trial point are finite, and the least step length at which a component reaches a bound.
    static var sumsEach: Int { 6 }

    let count: Int
    let point: UnsafePointer<Scalar>
    /// The gradient, or the pseudo-gradient.
    let gradient: UnsafePointer<Scalar>
    let box: BoxAddress<Scalar>
    let status: UnsafePointer<UInt8>
    /// Whether components that leave the box are shortened, to end at the bound.
    let projects: Bool
    let direction: UnsafeMutablePointer<Scalar>
    let trialPoint: UnsafeMutablePointer<Scalar>?
    let sums: UnsafeMutablePointer<Double>

    @inline(__always)
    func run(block: Int) {
        let end = unsafe min((block + 1) * blockLength, count)
        var offset = block * blockLength
        var (slope, largest, check, outside) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
        var (trialCheck, bend) = (Lanes.zero, Lanes(repeating: .infinity))
        // Sound: every index stays below `count`, which all vectors have.
        while offset < end {
            let left = end &- offset
            let (x, g) = unsafe (
                someLanes(point, offset, left), someLanes(gradient, offset, left)
            )
            var d = unsafe someLanes(UnsafePointer(direction), offset, left)
            let isFree = unsafe faceLanes(status, offset, left)
            d.replace(with: Lanes.zero, where: .!isFree)
            check += d - d
            let reach = unsafe boxReach(box, offset, left, x, g, Scalar.self)
            let isOutside = (d .< reach.lower) .| (d .> reach.upper)
            outside.replace(with: outside + 1, where: isOutside)
            if unsafe projects {
                d.replace(with: reach.lower, where: d .< reach.lower)
                d.replace(with: reach.upper, where: d .> reach.upper)
            }
            unsafe storeLanes(d, direction, offset, left)
            let ahead = reach.lower.replacing(with: reach.upper, where: d .> 0) / d
            bend.replace(with: ahead, where: (d .!= 0) .& (ahead .< bend))
            slope += g * d
            largest = larger(largest, absolute(d))
            if let trialPoint = unsafe trialPoint {
                let moved = unsafe boxPoint(box, offset, left, x, d, by: 1, Scalar.self)
                trialCheck += moved - moved
                unsafe storeLanes(moved, trialPoint, offset, left)
            }
            offset &+= 8
        }
        let target = unsafe sums + block * Self.sumsEach
        unsafe target[0] = folded(slope)
        unsafe target[1] = largest.max()
        unsafe target[2] = outside.sum()
        unsafe target[3] = check.sum()
        unsafe target[4] = trialCheck.sum()
        unsafe target[5] = bend.min()
    }
}

/// How far eight parameters may move within their box, down and up, rounded to the precision of x:
/// a component of exactly that length ends at the bound.
@inline(__always)
func boxReach<Scalar: EngineScalar>(
    _ box: BoxAddress<Scalar>, _ offset: Int, _ left: Int, _ x: Lanes, _ g: Lanes,
    _: Scalar.Type
) -> (lower: Lanes, upper: Lanes) {
    var (lower, upper) = unsafe (box.lowerLanes(offset, left), box.upperLanes(offset, left))
    if unsafe box.hasWeights {
        let hasWeight = unsafe box.weightLanes(offset, left) .> 0
        let isUpper = (x .> 0) .| ((x .== 0) .& (g .< 0))
        let isLower = (x .< 0) .| ((x .== 0) .& (g .> 0))
        lower.replace(with: Lanes.zero, where: hasWeight .& isUpper .& (lower .< 0))
        upper.replace(with: Lanes.zero, where: hasWeight .& isLower .& (upper .> 0))
    }
    return (rounded(lower - x, to: Scalar.self), rounded(upper - x, to: Scalar.self))
}

/// P(x + t d) of eight parameters. A parameter whose component has reached its bound *is* the
/// bound; one with an L1 term stops at 0.
@inline(__always)
func boxPoint<Scalar: EngineScalar>(
    _ box: BoxAddress<Scalar>, _ offset: Int, _ left: Int, _ x: Lanes, _ d: Lanes,
    by stepLength: Double, _: Scalar.Type
) -> Lanes {
    var (lower, upper) = unsafe (box.lowerLanes(offset, left), box.upperLanes(offset, left))
    if unsafe box.hasWeights {
        let hasWeight = unsafe box.weightLanes(offset, left) .> 0
        lower.replace(with: Lanes.zero, where: hasWeight .& (x .> 0) .& (lower .< 0))
        upper.replace(with: Lanes.zero, where: hasWeight .& (x .< 0) .& (upper .> 0))
    }
    let step = d * stepLength
    var moved = rounded(x + step, to: Scalar.self)
    // The first two because x + (l - x) need not round to l.
    let down = (d .< 0) .& (step .<= rounded(lower - x, to: Scalar.self))
    let up = (d .> 0) .& (step .>= rounded(upper - x, to: Scalar.self))
    moved.replace(with: lower, where: down .| (moved .<= lower))
    moved.replace(with: upper, where: up .| (moved .>= upper))
    return moved
}

/// Computes P(x + t d), and whether all of it is finite.
@unsafe struct BoxPointPass<Scalar: EngineScalar> {
    let count: Int
    let start: UnsafePointer<Scalar>
    let direction: UnsafePointer<Scalar>
    let stepLength: Double
    let box: BoxAddress<Scalar>
    let target: UnsafeMutablePointer<Scalar>
    /// [block]: 0 if all numbers of the block are finite.
    let sums: UnsafeMutablePointer<Double>

    @inline(__always)
    func run(block: Int) {
        let end = unsafe min((block + 1) * blockLength, count)
        var offset = block * blockLength
        var check = Lanes.zero
        // Sound: every index stays below `count`, which all vectors have.
        while offset < end {
            let left = end &- offset
            let moved = unsafe boxPoint(
                box, offset, left, someLanes(start, offset, left),
                someLanes(direction, offset, left), by: stepLength, Scalar.self)
            check += moved - moved
            unsafe storeLanes(moved, target, offset, left)
            offset &+= 8
        }
        unsafe sums[block] = check.sum()
    }
}

/// Inspects an evaluation's gradient at a point within the box: the projected gradient, the slope
/// along the path P(x + t d) that led to it, and the L1 term.
///
/// The slope is that of the path beyond the point: a component that has reached its bound no longer
/// moves. It needs neither x nor t, because such a component is at its bound.
@unsafe struct BoxInspectionPass<Scalar: EngineScalar> {
    /// Sums of a block: slope, projected gradient, L1 term, and 0 if the gradient is finite.
    static var sumsEach: Int { 4 }

    let count: Int
    let point: UnsafePointer<Scalar>
    let gradient: UnsafePointer<Scalar>
    let direction: UnsafePointer<Scalar>?
    let box: BoxAddress<Scalar>
    let sums: UnsafeMutablePointer<Double>

    @inline(__always)
    func run(block: Int) {
        let end = unsafe min((block + 1) * blockLength, count)
        var offset = block * blockLength
        var (slope, largest, check, term) = (Lanes.zero, Lanes.zero, Lanes.zero, Lanes.zero)
        // Sound: every index stays below `count`, which all vectors have.
        while offset < end {
            let left = end &- offset
            let (x, g) = unsafe (
                someLanes(point, offset, left), someLanes(gradient, offset, left)
            )
            check += g - g
            let (lower, upper) = unsafe (
                box.lowerLanes(offset, left), box.upperLanes(offset, left)
            )
            var pseudo = g
            if unsafe box.hasWeights {
                unsafe pseudo = box.part(offset, left, point: x, gradient: g).gradient
                unsafe term += box.weightLanes(offset, left) * absolute(x)
            }
            var measure = pseudo.replacing(
                with: x - lower, where: (pseudo .>= 0) .& (x - lower .< pseudo))
            measure.replace(with: x - upper, where: (pseudo .< 0) .& (x - upper .> pseudo))
            largest = larger(largest, absolute(measure))
            if let direction = unsafe direction {
                let d = unsafe someLanes(direction, offset, left)
                var product = d
                if unsafe box.hasWeights {
                    let w = unsafe box.weightLanes(offset, left)
                    var own = g
                    own.replace(with: g + w, where: x .> 0)
                    own.replace(with: g - w, where: x .< 0)
                    product = own * d
                    product.replace(with: Lanes.zero, where: (w .> 0) .& (x .== 0))
                } else {
                    product = g * d
                }
                let hasStopped = ((d .< 0) .& (x .<= lower)) .| ((d .> 0) .& (x .>= upper))
                product.replace(with: Lanes.zero, where: hasStopped)
                slope += product
            }
            offset &+= 8
        }
        let target = unsafe sums + block * Self.sumsEach
        unsafe target[0] = folded(slope)
        unsafe target[1] = largest.max()
        unsafe target[2] = folded(term)
        unsafe target[3] = check.sum()
    }
}
