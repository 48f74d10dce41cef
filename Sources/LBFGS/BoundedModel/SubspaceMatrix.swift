/// The minimum of the L-BFGS model over the free parameters, in coefficients of g, s_i and y_i.
///
/// Theory. With the held parameters moved by Delta_A, and the free ones by d, the model's gradient
/// over the free ones vanishes where
///
///     B_FF d = r      r = -(g + B Delta)_F = -g_F + W_F q      q = M W_A' Delta_A
///
/// By the Sherman-Morrison-Woodbury formula (Byrd, Lu, Nocedal & Zhu 1995, equation 5.11, in the
/// form of L-BFGS-B's `subsm`),
///
///     d = (r + W_F K^-1 W_F' r / theta) / theta     W_F K^-1 = [Y_F / theta, S_F] K^-1
///
///     K = [-D - Y_F'Y_F / theta,  L_A' - R_F'; L_A - R_F,  theta S_A'S_A]
///
/// with L_A the strictly lower triangle of S'Y over the held parameters, and R_F the upper one,
/// with the diagonal, over the free ones. K is indefinite. It is factorized as U' E U with E =
/// diag(-I, I), from the Cholesky factors of -K_11 and of K_22 + U_12'U_12, as in `formk`; forming
/// M in place of it loses digits (one CUTEst problem in 64, and a tenth more evaluations).
///
/// All products over the free parameters are in the Gram matrices, so that no pass over the vectors
/// is needed but the one that adds up d.
package struct SubspaceMatrix: Sendable {
    package init() {}

    private(set) var count = 0
    /// The Cholesky factor of D + Y_F'Y_F / theta, by rows.
    private var first: [Double] = []
    /// The Cholesky factor of theta S_A'S_A + U_12'U_12, by rows.
    private var second: [Double] = []
    /// U_12, by rows: column i belongs to s_i.
    private var cross: [Double] = []

    /// Forms and factorizes K. O(m^3).
    /// - Returns: Whether it could be factorized.
    package mutating func factorize(_ gram: FaceGram, theta: Double) -> Bool {
        count = gram.count
        let (count, size) = (count, count * count)
        first.grow(to: size)
        second.grow(to: size)
        cross.grow(to: size)
        let (ss, sy, yy) = (FaceGram.ss, FaceGram.sy, FaceGram.yy)
        // Sound: each has `count` squared numbers, and the Gram matrices have more.
        return unsafe first.withUnsafeMutableBufferPointer { first in
            unsafe second.withUnsafeMutableBufferPointer { second in
                unsafe cross.withUnsafeMutableBufferPointer { cross in
                    guard let first = first.baseAddress, let second = second.baseAddress,
                        let cross = cross.baseAddress
                    else { return count == 0 }
                    unsafe gram.withPointers { free, held in
                        for i in 0..<count {
                            for j in 0...i {
                                let at = gram.index(yy, i, j)
                                unsafe first[i &* count &+ j] = free[at] / theta
                                unsafe second[i &* count &+ j] = held[gram.index(ss, i, j)] * theta
                            }
                            let own = gram.index(sy, i, i)
                            unsafe first[i &* count &+ i] += free[own] + held[own]
                            for j in 0..<count {
                                let at = gram.index(sy, j, i)
                                unsafe cross[i &* count &+ j] = i < j ? -held[at] : free[at]
                            }
                        }
                    }
                    guard unsafe factorizeCholesky(first, count) else { return false }
                    unsafe solveLowerForAll(first, count, cross)
                    for k in 0..<count {
                        let row = unsafe cross + k &* count
                        for i in 0..<count {
                            let (value, target) = unsafe (row[i], second + i &* count)
                            for j in 0...i { unsafe target[j] += value * row[j] }
                        }
                    }
                    return unsafe factorizeCholesky(second, count)
                }
            }
        }
    }

    /// The factors of s_i and y_i in d; that of g is -1 / theta. O(m^2).
    /// - Parameters:
    ///   - gram: The matrices that were factorized.
    ///   - theta: The scale of the initial Hessian.
    ///   - sg: s_i.g over the free parameters.
    ///   - yg: y_i.g over the same.
    ///   - q: 2 m numbers: the coefficients of Y, then those of theta S.
    ///   - stepWeights: Memory for the factors of s_i.
    ///   - changeWeights: Memory for those of y_i.
    package func solve(
        _ gram: FaceGram, theta: Double, sg: [Double], yg: [Double], q: [Double],
        stepWeights: inout [Double], changeWeights: inout [Double], _ scratch: inout [Double]
    ) {
        let count = count
        scratch.grow(to: 2 * count)
        let (ss, sy, yy) = (FaceGram.ss, FaceGram.sy, FaceGram.yy)
        let hasMoves = q.contains { $0 != 0 }
        for i in 0..<count {
            // Y_F' r and theta S_F' r.
            var (y, s) = (-yg[i], -sg[i])
            for j in 0..<(hasMoves ? count : 0) {
                let (first, second) = (q[j], theta * q[count + j])
                y += gram.free[gram.index(yy, i, j)] * first
                y += gram.free[gram.index(sy, j, i)] * second
                s += gram.free[gram.index(sy, i, j)] * first
                s += gram.free[gram.index(ss, i, j)] * second
            }
            scratch[i] = y
            scratch[count + i] = theta * s
        }
        // Sound: the vector has 2 `count` numbers, the matrices `count` squared.
        unsafe scratch.withUnsafeMutableBufferPointer { vector in
            unsafe first.withUnsafeBufferPointer { first in
                unsafe second.withUnsafeBufferPointer { second in
                    unsafe cross.withUnsafeBufferPointer { cross in
                        guard let v = vector.baseAddress, let first = first.baseAddress,
                            let second = second.baseAddress, let cross = cross.baseAddress
                        else { return }
                        let w = unsafe v + count
                        unsafe solveLower(first, count, v)
                        for k in 0..<count {
                            let (row, value) = unsafe (cross + k &* count, v[k])
                            for i in 0..<count { unsafe w[i] -= row[i] * value }
                        }
                        unsafe solveLower(second, count, w)
                        unsafe solveLowerTransposed(second, count, w)
                        for i in 0..<count { unsafe v[i] = -v[i] }
                        for i in 0..<count {
                            let value = unsafe w[i]
                            for k in 0..<count { unsafe v[k] -= cross[k &* count &+ i] * value }
                        }
                        unsafe solveLowerTransposed(first, count, v)
                    }
                }
            }
        }
        for i in 0..<count {
            changeWeights[i] = (q[i] + scratch[i] / theta) / theta
            stepWeights[i] = q[count + i] + scratch[count + i] / theta
        }
    }
}
