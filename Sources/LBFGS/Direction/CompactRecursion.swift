/// The scalar work of the recursion in coefficients, between the two passes over vectors. O(k^2).
///
/// The formulas are those of `CurvatureHistory`. The sums of alpha run in the order of j, each
/// waiting for the one before, because alpha_{i+1} is needed first. The sums of v and w are carried
/// for all i at once, column by column: the order of j stays the same for each i, and the additions
/// of different i overlap.
///
/// - Parameters:
///   - table: `count` pairs, oldest first.
///   - count: k, the number of pairs.
///   - gamma: The scale of the initial inverse Hessian.
///   - dots: Four numbers for each pair, s.g and y.g first.
///   - alphas: Memory for `count` numbers.
///   - weights: Memory for `count` numbers: the factors of s in d.
///   - rests: Memory for `count` numbers: the factors of y in d.
func compactRecursion(
    _ table: UnsafePointer<PairAddress>, _ count: Int, gamma: Double, dots: UnsafePointer<Double>,
    alphas: UnsafeMutablePointer<Double>, weights: UnsafeMutablePointer<Double>,
    changeWeights rests: UnsafeMutablePointer<Double>
) {
    // Sound: columns of pair j have rows up to j at least; all indices stay below `count`.
    var i = count - 1
    while i >= 0 {
        var rest = unsafe dots[4 * i]
        var j = i + 1
        while j < count {
            unsafe rest -= table[j].stepColumn[i] * alphas[j]
            j += 1
        }
        unsafe alphas[i] = unsafe rest / table[i].stepColumn[i]
        i -= 1
    }
    for j in 0..<count {
        let column = unsafe table[j].changeColumn
        let alpha = unsafe alphas[j]
        var rest = unsafe dots[4 * j + 1]
        for i in 0..<j { unsafe rest -= column[i] * alphas[i] }
        unsafe rests[j] = unsafe rest - column[j] * alpha
        for i in 0..<j { unsafe rests[i] -= column[i] * alpha }
    }
    for i in 0..<count {
        let column = unsafe table[i].stepColumn
        var projection = unsafe rests[i] * gamma
        for j in 0..<i { unsafe projection += column[j] * weights[j] }
        unsafe weights[i] = unsafe alphas[i] - projection / column[i]
    }
    for i in 0..<count {
        unsafe weights[i] = unsafe -weights[i]
        unsafe rests[i] = unsafe gamma * alphas[i]
    }
}

extension Workspace {
    /// Computes the weights of the direction from the table and the dot products.
    mutating func computeWeights(gamma: Double, alphas: inout [Double]) {
        stepWeights.grow(to: pairCount)
        changeWeights.grow(to: pairCount)
        precondition(alphas.count == pairCount && dots.count >= 4 * pairCount)
        // Sound: all have a number, or four, for each pair in the table.
        unsafe table.withUnsafeBufferPointer { table in
            unsafe dots.withUnsafeBufferPointer { dots in
                unsafe alphas.withUnsafeMutableBufferPointer { alphas in
                    unsafe stepWeights.withUnsafeMutableBufferPointer { steps in
                        unsafe changeWeights.withUnsafeMutableBufferPointer { changes in
                            guard let table = table.baseAddress, let dots = dots.baseAddress,
                                let alphas = alphas.baseAddress, let steps = steps.baseAddress,
                                let changes = changes.baseAddress
                            else { return }
                            unsafe compactRecursion(
                                table, pairCount, gamma: gamma, dots: dots, alphas: alphas,
                                weights: steps, changeWeights: changes)
                        }
                    }
                }
            }
        }
    }
}
