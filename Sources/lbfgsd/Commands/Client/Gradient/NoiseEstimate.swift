/// The noise of a function, from its values at equidistant points.
///
/// Moré & Wild, Estimating Computational Noise, SIAM J. Sci. Comput. 33 (2011): the k-th
/// differences of a smooth function vanish with the k-th power of the distance, those of noise do
/// not. Where the differences of three orders give nearly the same standard deviation, that is the
/// noise.
struct NoiseEstimate {
    static let points = 7
    private static let tries = 4
    /// By which the distance of the points changes from one try to the next.
    private static let factor = 100.0

    /// Values at equidistant points: as they are, and without what is known to be smooth.
    struct Sample {
        var losses: [Double]
        var values: [Double]

        var isFinite: Bool { losses.allSatisfy(\.isFinite) }

        /// The points are too close: half of the values are equal.
        var isFlat: Bool {
            2 * zip(losses, losses.dropFirst()).count { $0 == $1 } >= losses.count
        }

        /// What the values show of their rounding: numbers of Float32, or steps between equal ones.
        var rounding: Double {
            var least = 0.0
            if losses.allSatisfy({ Double(Float($0)) == $0 }) {
                least = Double(Float.ulpOfOne) / 4 * (losses.map(abs).max() ?? 0)
            }
            guard isFlat else { return least }
            let steps = zip(losses, losses.dropFirst()).map { abs($1 - $0) }.filter { $0 > 0 }
            return max(least, (steps.min() ?? 0) / 2)
        }
    }

    /// The standard deviation; if no distance of the points shows it, the rounding of the values,
    /// as far as that can be seen.
    /// - Parameters:
    ///   - distance: Where the search for a distance of the points begins.
    ///   - sample: The values at multiples of a direction.
    static func standardDeviation(
        distance: Double, sample: ([Double]) throws(CommandFailure) -> Sample
    ) throws(CommandFailure) -> Double {
        var distance = distance
        var rounding = 0.0
        for _ in 0..<tries {
            let found = try sample((0..<points).map { Double($0 - points / 2) * distance })
            if found.isFinite {
                rounding = max(rounding, found.rounding)
                if found.isFlat {
                    distance *= factor
                    continue
                }
                if let noise = level(of: found.values) { return max(noise, rounding) }
            }
            distance /= factor
        }
        return rounding
    }

    /// ECnoise; nil if the function changes more than its noise.
    private static func level(of values: [Double]) -> Double? {
        guard let low = values.min(), let high = values.max(),
            high - low <= 0.1 * max(abs(low), abs(high))
        else { return nil }
        var differences = values
        var levels: [Double] = []
        var changesSign: [Bool] = []
        var gamma = 1.0
        for order in 1..<values.count {
            differences = zip(differences, differences.dropFirst()).map { $1 - $0 }
            // (k!)^2 / (2k)!, so that noise has the same level in each order.
            gamma *= Double(order) / Double(2 * (2 * order - 1))
            let squares = differences.reduce(0) { $0 + $1 * $1 }
            levels.append((gamma * squares / Double(differences.count)).squareRoot())
            changesSign.append(
                differences.contains { $0 < 0 } && differences.contains { $0 > 0 })
        }
        for order in 0..<(values.count - 3) where changesSign[order] {
            let three = levels[order...(order + 2)]
            if (three.max() ?? 0) <= 4 * (three.min() ?? 0) { return levels[order] }
        }
        return nil
    }
}
