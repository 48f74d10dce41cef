// Cholesky factors of the small matrices, stored by rows. The upper triangle gets the transposed
// factor. Each step subtracts one column's products from all that follows, which are independent of
// each other; a sum at a time would wait for every addition.

/// Replaces a symmetric matrix by its Cholesky factor. O(k^3).
/// - Parameters:
///   - matrix: `count` rows of `count` numbers, of which the lower triangle is read.
///   - count: k.
/// - Returns: Whether the matrix is positive definite as far as rounding can tell.
func factorizeCholesky(_ matrix: UnsafeMutablePointer<Double>, _ count: Int) -> Bool {
    // Sound: rows and columns stay below `count`.
    for k in 0..<count {
        let pivot = unsafe matrix + k &* count
        let rest = unsafe pivot[k]
        guard rest > 0, rest < .infinity else { return false }
        let root = rest.squareRoot()
        unsafe pivot[k] = root
        for i in k + 1..<max(count, k + 1) {
            let row = unsafe matrix + i &* count
            let value = unsafe row[k] / root
            unsafe row[k] = value
            unsafe pivot[i] = value
            for j in k + 1...i { unsafe row[j] -= value * pivot[j] }
        }
    }
    return true
}

/// Solves L x = b in place. O(k^2).
func solveLower(
    _ factor: UnsafePointer<Double>, _ count: Int, _ vector: UnsafeMutablePointer<Double>
) {
    // Sound: as above.
    for k in 0..<count {
        let column = unsafe factor + k &* count
        let value = unsafe vector[k] / column[k]
        unsafe vector[k] = value
        for i in k + 1..<max(count, k + 1) { unsafe vector[i] -= column[i] * value }
    }
}

/// Solves L X = B in place, with as many right-hand sides as unknowns, stored by rows. O(k^3).
func solveLowerForAll(
    _ factor: UnsafePointer<Double>, _ count: Int, _ matrix: UnsafeMutablePointer<Double>
) {
    // Sound: as above.
    for i in 0..<count {
        let (row, target) = unsafe (factor + i &* count, matrix + i &* count)
        for k in 0..<i {
            let (value, solved) = unsafe (row[k], matrix + k &* count)
            for j in 0..<count { unsafe target[j] -= value * solved[j] }
        }
        let pivot = unsafe row[i]
        for j in 0..<count { unsafe target[j] /= pivot }
    }
}

/// Solves L' x = b in place. O(k^2).
func solveLowerTransposed(
    _ factor: UnsafePointer<Double>, _ count: Int, _ vector: UnsafeMutablePointer<Double>
) {
    // Sound: as above.
    var i = count - 1
    while i >= 0 {
        let row = unsafe factor + i &* count
        let value = unsafe vector[i] / row[i]
        unsafe vector[i] = value
        for k in 0..<i { unsafe vector[k] -= row[k] * value }
        i -= 1
    }
}
