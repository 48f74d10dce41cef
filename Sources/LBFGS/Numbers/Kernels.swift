// Sums over vectors and maps of vectors, on which the operations of `EngineScalar` are built.
//
// The same input gives the same bits, on every machine and in every build. Each sum runs in Float64
// over 16 fixed lanes: two SIMD8 accumulators, which also hides the latency of the additions. Lanes
// are folded in a fixed tree. Blocks of `blockLength` numbers are summed on their own, and their
// sums are added in order, so that the passes can give blocks to several threads. Products and sums
// are rounded one by one: Swift does not contract them into fused multiply-adds unless asked to.
//
// Vectors must have equal counts, which is a precondition of each call. NaN and infinity propagate
// as IEEE 754 says. A vector of length zero has the sum and the norm 0.

typealias Lanes = SIMD8<Double>

/// The numbers of a block, which are summed before their sum is added to the others. 4096 numbers
/// of four operands fit in a 128 KiB share of a second-level cache.
let blockLength = 4096

/// Reads eight numbers from `offset` on, as Float64.
@inline(__always)
func lanes<Scalar: EngineScalar>(_ values: UnsafePointer<Scalar>, _ offset: Int) -> Lanes {
    // Sound: callers stay eight numbers below the count of the vector.
    unsafe Scalar.widened(
        UnsafeRawPointer(values + offset).loadUnaligned(as: SIMD8<Scalar>.self))
}

/// Reads the last `count` < 8 numbers from `offset` on; the other lanes are 0.
@inline(__always)
func tailLanes<Scalar: EngineScalar>(
    _ values: UnsafePointer<Scalar>, _ offset: Int, _ count: Int
) -> Lanes {
    var lanes = Lanes.zero
    for index in 0..<count { unsafe lanes[index] = Double(values[offset + index]) }
    return lanes
}

/// Folds eight lanes to one in a fixed tree.
@inline(__always)
func folded(_ lanes: Lanes) -> Double {
    let four = lanes.lowHalf + lanes.highHalf
    let two = four.lowHalf + four.highHalf
    return two.x + two.y
}

/// The sum over all indices of `term`, which gets eight lanes of `first` and of `second`.
@inline(__always)
func blockedSum<Scalar: EngineScalar>(
    _ first: [Scalar], _ second: [Scalar], _ term: (Lanes, Lanes) -> Lanes
) -> Double {
    precondition(first.count == second.count, "\(first.count) against \(second.count) numbers")
    let count = first.count
    // Sound: every index below stays under `count`, which both buffers have.
    return unsafe first.withUnsafeBufferPointer { firstBuffer in
        unsafe second.withUnsafeBufferPointer { secondBuffer in
            guard let a = firstBuffer.baseAddress, let b = secondBuffer.baseAddress else {
                return 0
            }
            var sum = 0.0
            var start = 0
            while start < count {
                let end = min(start + blockLength, count)
                var even = Lanes.zero
                var odd = Lanes.zero
                var offset = start
                while offset + 16 <= end {
                    unsafe even += term(lanes(a, offset), lanes(b, offset))
                    unsafe odd += term(lanes(a, offset + 8), lanes(b, offset + 8))
                    offset += 16
                }
                if offset + 8 <= end {
                    unsafe even += term(lanes(a, offset), lanes(b, offset))
                    offset += 8
                }
                if offset < end {
                    let left = end - offset
                    unsafe odd += term(tailLanes(a, offset, left), tailLanes(b, offset, left))
                }
                sum += folded(even + odd)
                start = end
            }
            return sum
        }
    }
}

/// |v_i| in each lane; NaN stays NaN.
@inline(__always)
func absolute(_ lanes: Lanes) -> Lanes {
    lanes.replacing(with: -lanes, where: lanes .< 0)
}

/// The vector whose numbers are `transform` of those of two others, eight lanes at a time.
@inline(__always)
func mapped<Scalar: EngineScalar>(
    _ first: [Scalar], _ second: [Scalar], _ transform: (Lanes, Lanes) -> Lanes
) -> [Scalar] {
    precondition(first.count == second.count, "\(first.count) against \(second.count) numbers")
    let count = first.count
    // Sound: every index below stays under `count`, which all three buffers have, and each
    // element of the result is written before the count is set.
    return unsafe [Scalar](unsafeUninitializedCapacity: count) { result, initializedCount in
        unsafe first.withUnsafeBufferPointer { firstBuffer in
            unsafe second.withUnsafeBufferPointer { secondBuffer in
                guard let a = firstBuffer.baseAddress, let b = secondBuffer.baseAddress,
                    let c = result.baseAddress
                else { return }
                var offset = 0
                while offset + 8 <= count {
                    let narrow = unsafe Scalar.narrowed(
                        transform(lanes(a, offset), lanes(b, offset)))
                    unsafe UnsafeMutableRawPointer(c + offset).storeBytes(
                        of: narrow, as: SIMD8<Scalar>.self)
                    offset += 8
                }
                if offset < count {
                    let left = count - offset
                    let narrow = unsafe Scalar.narrowed(
                        transform(tailLanes(a, offset, left), tailLanes(b, offset, left)))
                    for index in 0..<left { unsafe c[offset + index] = narrow[index] }
                }
            }
        }
        initializedCount = count
    }
}
