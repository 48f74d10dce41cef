/// Computes x + t d, and whether all of it is finite. The first trial point of an iteration is
/// computed by `CombinationPass`; this pass computes the others.
///
/// Bits: those of `EngineScalar.moved`.
@unsafe struct TrialPointPass<Scalar: EngineScalar> {
    let count: Int
    let start: UnsafePointer<Scalar>
    let direction: UnsafePointer<Scalar>
    let stepLength: Double
    let target: UnsafeMutablePointer<Scalar>
    /// [block]: 0 if all numbers of the block are finite.
    let sums: UnsafeMutablePointer<Double>

    @inline(__always)
    func run(worker: Int, block: Int) {
        let end = unsafe min((block + 1) * blockLength, count)
        var offset = block * blockLength
        var check = Lanes.zero
        // Sound: every index stays below `count`, which all three vectors have.
        while offset &+ 8 <= end {
            let moved = unsafe Scalar.narrowed(
                lanes(start, offset) + lanes(direction, offset) * stepLength)
            unsafe UnsafeMutableRawPointer(target + offset).storeBytes(
                of: moved, as: SIMD8<Scalar>.self)
            let wide = Scalar.widened(moved)
            check += wide - wide
            offset &+= 8
        }
        while offset < end {
            let moved = unsafe Scalar(
                Double(start[offset]) + Double(direction[offset]) * stepLength)
            unsafe target[offset] = moved
            check[0] += Double(moved - moved)
            offset += 1
        }
        unsafe sums[block] = check.sum()
    }
}
