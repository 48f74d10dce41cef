package import SessionModel

// Designs of starts: points in the unit cube, and from there in the box. The numbers follow from
// the design's fields alone, so that others can repeat them; docs/design/ensembles.md says how.

extension StartDesign {
    /// `count` points in the unit cube, below 1 in each coordinate; nil if the client gave the
    /// starts. O(count * dimensions).
    package func points(count: Int, dimensions: Int) -> [[Double]]? {
        switch self {
        case .given:
            return nil
        case .sobol(let seed, let skip):
            return sobolPoints(count, dimensions, seed: seed, skip: skip)
        case .latinHypercube(let seed):
            return latinHypercubePoints(count, dimensions, seed: seed)
        case .uniform(let seed):
            return uniformPoints(count, dimensions, seed: seed)
        }
    }
}

/// With a seed, coordinate j of all points is shifted digitally by 53 random bits: an exclusive or
/// (Matoušek 1998), which keeps the points' distances in base 2 and makes each point uniform.
private func sobolPoints(_ count: Int, _ dimensions: Int, seed: Int?, skip: Int) -> [[Double]] {
    let sequence = SobolSequence(dimensions: dimensions)
    var shifts = [UInt64](repeating: 0, count: dimensions)
    if let seed {
        var generator = SplitMix64(seed: seed)
        for j in 0..<dimensions { shifts[j] = generator.next53() }
    }
    return (0..<count).map { index in
        sequence.point(skip + index).enumerated().map { j, coordinate in
            Double(UInt64(coordinate) << UInt64(53 - SobolSequence.bits) ^ shifts[j]) * 0x1p-53
        }
    }
}

/// McKay, Beckman and Conover (1979): coordinate by coordinate a random permutation of the slices
/// (Fisher and Yates, from the last place down), then a random place within each slice.
private func latinHypercubePoints(
    _ count: Int, _ dimensions: Int, seed: Int
) -> [[Double]] {
    var generator = SplitMix64(seed: seed)
    var points = [[Double]](
        repeating: [Double](repeating: 0, count: dimensions), count: count)
    for j in 0..<dimensions {
        var slices = Array(0..<count)
        for place in stride(from: count - 1, to: 0, by: -1) {
            slices.swapAt(place, generator.below(place + 1))
        }
        for index in 0..<count {
            let coordinate = (Double(slices[index]) + generator.uniform()) / Double(count)
            // The sum may round up to the next slice.
            points[index][j] = min(coordinate, (Double(slices[index] + 1) / Double(count)).nextDown)
        }
    }
    return points
}

private func uniformPoints(_ count: Int, _ dimensions: Int, seed: Int) -> [[Double]] {
    var generator = SplitMix64(seed: seed)
    return (0..<count).map { _ in (0..<dimensions).map { _ in generator.uniform() } }
}

extension SamplingBox {
    /// The place of a point of the unit cube: lower + (upper - lower) u in Float64, then rounded to
    /// the precision, and never outside of the box.
    package func place(_ unit: [Double], as dtype: DType) -> [Double] {
        unit.enumerated().map { index, u in
            let (lower, upper) = (lower(index), upper(index))
            let x = min(max(lower + (upper - lower) * u, lower), upper)
            guard dtype == .float32 else { return x }
            let rounded = Float(x)
            if Double(rounded) > upper { return Double(rounded.nextDown) }
            if Double(rounded) < lower { return Double(rounded.nextUp) }
            return Double(rounded)
        }
    }
}
