// Parameters that join, and parameters that stand still, between two steps. Both keep what the
// optimizer has learnt. The pair of the newest iteration, which torch forms when the next one
// begins, is formed first: later the gradient's change would be that of another function.

extension Optimizer {
    /// Adds parameters behind the others. Every stored s and y is padded with zeros: s.y and y.y
    /// stay as they were, and the pairs remain curvature that was seen. O(m n).
    /// - Precondition: no step runs, and the values are finite.
    public mutating func append(_ values: [Scalar]) {
        precondition(!isStepping && Scalar.isFinite(values))
        formLastPair()
        parameters += values
        trialPoint = parameters
        buffers = Buffers()
        loss = nil
        memory.isEvaluated = false
        let padding = [Scalar](repeating: 0, count: values.count)
        if !gradient.isEmpty { gradient += padding }
        if !direction.isEmpty { direction += padding }
        if !previousGradient.isEmpty { previousGradient += padding }
        history.pad(with: padding)
    }

    /// From now on the parameters in these ranges don't move, and their gradient counts as zero.
    /// Those that were frozen before and aren't named take part again.
    /// - Precondition: no step runs, and the ranges lie within the parameters.
    public mutating func freeze(_ ranges: [Range<Int>]) {
        precondition(!isStepping)
        precondition(ranges.allSatisfy { $0.lowerBound >= 0 && $0.upperBound <= parameters.count })
        guard ranges != frozenRanges else { return }
        formLastPair()
        frozenRanges = ranges
        memory.isEvaluated = false
    }

    /// The vector with zeros where parameters are frozen.
    public func masked(_ vector: [Scalar]) -> [Scalar] {
        guard !frozenRanges.isEmpty else { return vector }
        var vector = vector
        for range in frozenRanges {
            for index in range { vector[index] = 0 }
        }
        return vector
    }

    /// Forms the newest iteration's pair now if its gradients are known, and never later. A run
    /// that is left without curvature starts its iterations anew, with the scaled first step.
    private mutating func formLastPair() {
        guard iterationCount > 0, !previousGradient.isEmpty else { return }
        if gradient.count == previousGradient.count {
            history.offer(
                s: Scalar.scaled(direction, by: stepLength),
                y: Scalar.difference(gradient, previousGradient), sizeMax: options.historySize)
        }
        stepLength = 0
        if history.pairs.isEmpty {
            iterationCount = 0
            direction = []
            previousGradient = []
            previousLoss = nil
            alphas = nil
        }
    }
}

extension CurvatureHistory {
    /// Lengthens every s and y by zeros; the small matrices stay.
    mutating func pad(with padding: [Scalar]) {
        pairs = pairs.map { pair in
            let octets = pair.octets.octets
            let middle = octets.startIndex + octets.count / 2
            let zeros = [UInt8](repeating: 0, count: padding.count * pair.dtype.size)
            return CurvaturePair(
                number: pair.number, dtype: pair.dtype,
                octets: PairOctets(octets[..<middle] + zeros + octets[middle...] + zeros),
                sy: pair.sy, yy: pair.yy)
        }
    }
}
