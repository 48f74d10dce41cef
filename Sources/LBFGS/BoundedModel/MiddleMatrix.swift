/// M of the compact form of the L-BFGS matrix,
///
///     B = theta I - W M W'    W = [Y, theta S]    M = [-D, L'; L, theta S'S]^-1
///
/// with D the diagonal of S'Y and L its strictly lower triangle (Byrd, Nocedal & Schnabel 1994).
///
/// M is indefinite and is never formed. Its product with a vector needs the Cholesky factor of
/// T = theta S'S + L D^-1 L' alone, as in L-BFGS-B's `formt` and `bmv`:
///
///     [p_1; p_2] = M [v_1; v_2]:   T p_2 = v_2 + L D^-1 v_1    p_1 = D^-1 (L' p_2 - v_1)
package struct MiddleMatrix: Sendable {
    package init() {}

    private(set) var count = 0
    /// D
    private var curvatures: [Double] = []
    /// L by rows.
    private var lower: [Double] = []
    /// The Cholesky factor of T by rows.
    private var factor: [Double] = []

    /// Forms and factorizes T. O(m^3).
    /// - Parameters:
    ///   - gram: The dot products of the pairs; those over all parameters are used.
    ///   - theta: The scale of the initial Hessian.
    /// - Returns: Whether T is positive definite, as it is but for rounding.
    package mutating func factorize(_ gram: FaceGram, theta: Double) -> Bool {
        count = gram.count
        let size = count * count
        curvatures.grow(to: count)
        lower.grow(to: size)
        factor.grow(to: size)
        for i in 0..<count {
            let own = gram.index(FaceGram.sy, i, i)
            curvatures[i] = gram.free[own] + gram.held[own]
            for j in 0..<i {
                let at = gram.index(FaceGram.sy, i, j)
                lower[i * count + j] = gram.free[at] + gram.held[at]
            }
        }
        for i in 0..<count {
            for j in 0...i {
                let at = gram.index(FaceGram.ss, i, j)
                var sum = theta * (gram.free[at] + gram.held[at])
                for k in 0..<j {
                    sum += lower[i * count + k] * lower[j * count + k] / curvatures[k]
                }
                factor[i * count + j] = sum
            }
        }
        let count = count
        guard count > 0 else { return true }
        // Sound: the factor has `count` squared numbers.
        return unsafe factor.withUnsafeMutableBufferPointer {
            guard let base = $0.baseAddress else { return true }
            return unsafe factorizeCholesky(base, count)
        }
    }

    /// M v. O(m^2).
    /// - Parameter v: 2 m numbers: the coefficients of Y, then those of theta S.
    package func multiply(_ v: [Double], into product: inout [Double]) {
        let count = count
        product.grow(to: 2 * count)
        for i in 0..<count {
            var sum = v[count + i]
            for k in 0..<i { sum += lower[i * count + k] * v[k] / curvatures[k] }
            product[count + i] = sum
        }
        // Sound: the vector has 2 `count` numbers, the factor `count` squared.
        unsafe product.withUnsafeMutableBufferPointer { product in
            unsafe factor.withUnsafeBufferPointer { factor in
                guard let product = product.baseAddress, let factor = factor.baseAddress else {
                    return
                }
                unsafe solveLower(factor, count, product + count)
                unsafe solveLowerTransposed(factor, count, product + count)
            }
        }
        for i in 0..<count {
            var sum = -v[i]
            for k in i + 1..<max(count, i + 1) { sum += lower[k * count + i] * product[count + k] }
            product[i] = sum / curvatures[i]
        }
    }
}
