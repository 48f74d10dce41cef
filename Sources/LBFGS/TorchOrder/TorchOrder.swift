/// Theory: the textbook's two-loop recursion (Nocedal & Wright 2006, algorithm 7.4) with every
/// operation rounded where and as `torch.optim.LBFGS` rounds it on a CPU.
///
///     q = -g
///     for i = k..1:  alpha_i = (s_i.q) rho_i;  q = q - alpha_i y_i        rho_i = 1 / y_i.s_i
///     d = gamma q
///     for i = 1..k:  d = d + (alpha_i - (y_i.d) rho_i) s_i
///
/// Long runs of a quasi-Newton method are chaotic: a last bit that differs in the tenth direction
/// is another run after a hundred iterations, and on problems at the limit another outcome. The
/// coefficients of `CurvatureHistory` are as precise, but not the same bits. For few parameters,
/// where memory traffic is no matter, mode `torch` goes torch's own way instead: its trial points
/// are torch's to the last bit for as long as losses and gradients are.
///
/// What torch's order is was found by asking torch 2.13 (x86-64) for it: the order of a sum shows
/// in which terms meet before 2^70 and -2^70 cancel (Xie et al. 2025, "FPRev"). Up to `countMax`
/// numbers, on one thread,
///
/// - a dot product adds rounded products in eight lanes, what is left by twos in the first two
///   lanes; lanes 0, 2, 4, 6 are added in a row, then 1, 3, 5, 7, then the two. That is what MKL
///   does on processors that aren't Intel's; on Intel's it is not, and there the points agree but
///   for rounding;
/// - a sum of magnitudes adds vectors of four lanes in four accumulators, emptied into a second
///   level every 16 rounds; what is left comes before the four lanes;
/// - x + a y is one fused multiply-add each.
///
/// All of it is the same on every machine and with every width of register.
enum TorchOrder {
    /// With more parameters the direction is made in coefficients. MKL's threads, and another
    /// order with them, begin somewhere between 2048 and 4096; up to here a two-loop recursion with
    /// 100 pairs stays in the second-level cache.
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

    /// d = -H g, and the alphas with the sign that they have for g, as everywhere in the engine.
    ///
    /// - Parameters:
    ///   - table: `pairCount` pairs of Float64 numbers, oldest first.
    ///   - alphas: As many numbers.
    static func direct(
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
