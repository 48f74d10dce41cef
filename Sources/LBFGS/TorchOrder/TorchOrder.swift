/// Theory. The textbook's two-loop recursion (Nocedal & Wright 2006, algorithm 7.4) with every
/// operation rounded as, and in the order in which, `torch.optim.LBFGS` rounds it on a CPU:
///
///     q = -g
///     for i = k..1:  alpha_i = (s_i.q) rho_i;  q = q - alpha_i y_i        rho_i = 1 / y_i.s_i
///     d = gamma q
///     for i = 1..k:  d = d + (alpha_i - (y_i.d) rho_i) s_i
///
/// Long runs of a quasi-Newton method are chaotic: if the tenth direction differs in its last bit,
/// the run is another one after a hundred iterations, and on problems at the limit its outcome is
/// another too. The recursion in coefficients of `CurvatureHistory` is as precise, but its bits are
/// others. With few parameters, where memory traffic does not matter, mode `torch` therefore
/// computes in torch's own order. Its trial points are torch's to the last bit, for as long as the
/// losses and gradients are.
///
/// torch's order was found by experiment with torch 2.13 (x86-64). The order of a sum shows in
/// which terms meet before 2^70 and -2^70 cancel (Xie et al. 2025, "FPRev"). Up to `countMax`
/// numbers, on one thread:
///
/// - A dot product adds rounded products in eight lanes, and what is left by twos in the first two
///   lanes. Lanes 0, 2, 4, 6 are added in this order, then 1, 3, 5, 7, then the two sums. This is
///   what MKL does on processors that are not Intel's. On Intel's it does otherwise, and there the
///   points agree up to rounding.
/// - A sum of magnitudes adds vectors of four lanes in four accumulators, which are emptied into a
///   second level every 16 rounds. What is left is added before the four lanes.
/// - x + a y is one fused multiply-add for each number.
///
/// All of it is the same on every machine and with every width of register.
enum TorchOrder {
    /// The largest number of parameters; with more, the recursion in coefficients is used. MKL uses
    /// threads, and with them another order, from somewhere between 2048 and 4096 numbers. Up to
    /// 1024, a two-loop recursion with 100 pairs stays in the second-level cache.
    static let countMax = 1024

    /// a.b
    static func dot(_ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ count: Int) -> Double {
        var sums = Lanes.zero
        var index = 0
        // Sound: callers have `count` numbers in both, here and below.
        while index &+ 8 <= count {
            unsafe sums += eight(a, index) * eight(b, index)
            index &+= 8
        }
        while index &+ 2 <= count {
            unsafe sums[0] += one(a, index) * one(b, index)
            unsafe sums[1] += one(a, index &+ 1) * one(b, index &+ 1)
            index &+= 2
        }
        if index < count { unsafe sums[0] += one(a, index) * one(b, index) }
        let even = ((sums[0] + sums[2]) + sums[4]) + sums[6]
        let odd = ((sums[1] + sums[3]) + sums[5]) + sums[7]
        return even + odd
    }

    /// sum |v_i|
    static func norm1(_ v: [Double]) -> Double {
        let wholeFours = v.count / 4
        guard wholeFours > 0 else { return v.reduce(0) { $0 + abs($1) } }
        typealias Four = SIMD4<Double>
        func four(_ index: Int) -> Four {
            Four(
                abs(v[4 * index]), abs(v[4 * index + 1]), abs(v[4 * index + 2]),
                abs(v[4 * index + 3]))
        }
        var sums = [Four](repeating: .zero, count: 4)
        var emptied = [Four](repeating: .zero, count: 4)
        let rounds = wholeFours / 4
        for round in 0..<rounds {
            for index in 0..<4 { sums[index] += four(4 * round + index) }
            guard round % 16 == 15 else { continue }
            for index in 0..<4 {
                emptied[index] += sums[index]
                sums[index] = .zero
            }
        }
        for index in 0..<4 { sums[index] += emptied[index] }
        for index in 4 * rounds..<wholeFours { sums[0] += four(index) }
        let lanes = ((sums[0] + sums[1]) + sums[2]) + sums[3]
        var total = v[(4 * wholeFours)...].reduce(0) { $0 + abs($1) }
        for lane in 0..<4 { total += lanes[lane] }
        return total
    }

    /// target = x + a y; `target` may be `x`.
    static func add(
        _ x: UnsafeRawPointer, _ a: Double, _ y: UnsafeRawPointer,
        to target: UnsafeMutableRawPointer, _ count: Int
    ) {
        for index in 0..<count {
            let sum = unsafe one(x, index).addingProduct(a, one(y, index))
            unsafe target.storeBytes(of: sum, toByteOffset: 8 &* index, as: Double.self)
        }
    }

    /// d = -H g. The alphas get the sign that they have for g, as everywhere in the engine; torch,
    /// which starts from -g, has the other. O(m n).
    ///
    /// - Parameters:
    ///   - gradient: g, `count` numbers.
    ///   - count: The number of parameters.
    ///   - table: `pairCount` pairs of Float64 numbers, oldest first.
    ///   - pairCount: The number of pairs.
    ///   - gamma: The scale of the initial inverse Hessian.
    ///   - d: `count` numbers of memory for the direction.
    ///   - alphas: `pairCount` numbers of memory for the alphas.
    static func twoLoopRecursion(
        _ gradient: UnsafeRawPointer, _ count: Int, _ table: UnsafePointer<PairAddress>,
        _ pairCount: Int, gamma: Double, into d: UnsafeMutableRawPointer,
        alphas: UnsafeMutableBufferPointer<Double>
    ) {
        // Sound: every vector has `count` numbers, and indices of pairs stay below `pairCount`.
        for index in 0..<count {
            unsafe d.storeBytes(
                of: -one(gradient, index), toByteOffset: 8 &* index, as: Double.self)
        }
        for index in stride(from: pairCount - 1, through: 0, by: -1) {
            let pair = unsafe table[index]
            let rho = unsafe 1 / pair.stepColumn[index]
            let alpha = unsafe dot(pair.stepPointer, d, count) * rho
            unsafe alphas[index] = -alpha
            unsafe add(d, -alpha, pair.changePointer, to: d, count)
        }
        for index in 0..<count {
            unsafe d.storeBytes(
                of: one(d, index) * gamma, toByteOffset: 8 &* index, as: Double.self)
        }
        for index in 0..<pairCount {
            let pair = unsafe table[index]
            let rho = unsafe 1 / pair.stepColumn[index]
            let beta = unsafe dot(pair.changePointer, d, count) * rho
            unsafe add(d, -alphas[index] - beta, pair.stepPointer, to: d, count)
        }
    }

    @inline(__always)
    private static func eight(_ values: UnsafeRawPointer, _ index: Int) -> Lanes {
        unsafe values.loadUnaligned(fromByteOffset: 8 &* index, as: Lanes.self)
    }

    @inline(__always)
    private static func one(_ values: UnsafeRawPointer, _ index: Int) -> Double {
        unsafe values.loadUnaligned(fromByteOffset: 8 &* index, as: Double.self)
    }
}
