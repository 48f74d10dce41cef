/// Squared norms of a step and, over the parameters that it moves, of the gradients at its ends, in
/// one pass without memory of its own. O(n).
@specialized(where Scalar == Double)
@specialized(where Scalar == Float)
func stepSquares<Scalar: EngineScalar>(
    _ step: [Scalar], _ gradient: [Scalar], _ previous: [Scalar]
) -> (step: Double, gradient: Double, previous: Double) {
    let count = step.count
    precondition(gradient.count == count && previous.count == count)
    var total = (step: 0.0, gradient: 0.0, previous: 0.0)
    // Sound: every index stays below `count`, which all vectors have.
    unsafe step.withUnsafeBufferPointer { step in
        unsafe gradient.withUnsafeBufferPointer { gradient in
            unsafe previous.withUnsafeBufferPointer { previous in
                guard let step = step.baseAddress, let gradient = gradient.baseAddress,
                    let previous = previous.baseAddress
                else { return }
                var start = 0
                while start < count {
                    let end = min(start + blockLength, count)
                    var even = SquareSums()
                    var odd = SquareSums()
                    var offset = start
                    while offset < end {
                        unsafe even.add(step, gradient, previous, offset, end &- offset)
                        offset &+= 8
                        guard offset < end else { break }
                        unsafe odd.add(step, gradient, previous, offset, end &- offset)
                        offset &+= 8
                    }
                    total.step += folded(even.step + odd.step)
                    total.gradient += folded(even.gradient + odd.gradient)
                    total.previous += folded(even.previous + odd.previous)
                    start = end
                }
            }
        }
    }
    return total
}

private struct SquareSums {
    var step = Lanes.zero
    var gradient = Lanes.zero
    var previous = Lanes.zero

    @inline(__always)
    mutating func add<Scalar: EngineScalar>(
        _ step: UnsafePointer<Scalar>, _ gradient: UnsafePointer<Scalar>,
        _ previous: UnsafePointer<Scalar>, _ offset: Int, _ left: Int
    ) {
        // Sound: `left` numbers can be read.
        let s = unsafe someLanes(step, offset, left)
        let g = unsafe someLanes(gradient, offset, left).replacing(with: Lanes.zero, where: s .== 0)
        let p = unsafe someLanes(previous, offset, left).replacing(with: Lanes.zero, where: s .== 0)
        self.step += s * s
        self.gradient += g * g
        self.previous += p * p
    }
}
