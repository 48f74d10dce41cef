/// Inspects an evaluation's gradient: whether it is finite, ||g||_inf, and its slope g.d along the
/// direction of a line search, in one pass over g, and over d if there is one.
///
/// Bits: those of `EngineScalar.isFinite`, `normInf` and `dot`.
@unsafe struct InspectionPass<Scalar: EngineScalar> {
    static var sumsEach: Int { 3 }

    let count: Int
    let gradient: UnsafePointer<Scalar>
    let direction: UnsafePointer<Scalar>?
    /// [block][slope, ||g||_inf, 0 if g is finite]
    let sums: UnsafeMutablePointer<Double>

    @inline(__always)
    func run(worker: Int, block: Int) {
        let end = unsafe min((block + 1) * blockLength, count)
        var (even, odd) = (Lanes.zero, Lanes.zero)
        var (largest, check) = (Lanes.zero, Lanes.zero)
        var offset = block * blockLength
        // Sound: every index stays below `count`, which both vectors have.
        let d = unsafe direction ?? gradient
        while offset &+ 16 <= end {
            let (g0, g1) = unsafe (lanes(gradient, offset), lanes(gradient, offset &+ 8))
            largest = larger(largest, larger(absolute(g0), absolute(g1)))
            check += (g0 - g0) + (g1 - g1)
            if unsafe direction != nil {
                unsafe even += g0 * lanes(d, offset)
                unsafe odd += g1 * lanes(d, offset &+ 8)
            }
            offset &+= 16
        }
        if offset &+ 8 <= end {
            let g0 = unsafe lanes(gradient, offset)
            largest = larger(largest, absolute(g0))
            check += g0 - g0
            if unsafe direction != nil { unsafe even += g0 * lanes(d, offset) }
            offset &+= 8
        }
        if offset < end {
            let g1 = unsafe tailLanes(gradient, offset, end - offset)
            largest = larger(largest, absolute(g1))
            check += g1 - g1
            if unsafe direction != nil { unsafe odd += g1 * tailLanes(d, offset, end - offset) }
        }
        let target = unsafe sums + block * Self.sumsEach
        unsafe target[0] = folded(even + odd)
        unsafe target[1] = largest.max()
        unsafe target[2] = check.sum()
    }
}

/// The larger number of each lane; where one is NaN, the first.
@inline(__always)
func larger(_ first: Lanes, _ second: Lanes) -> Lanes {
    first.replacing(with: second, where: second .> first)
}
