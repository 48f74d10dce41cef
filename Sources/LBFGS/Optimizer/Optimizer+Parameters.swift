// Changes of the parameters between two steps: new values, new parameters, frozen parameters. All
// keep the history.
//
// A new or frozen parameter makes the loss another function. The pair of the last iteration, which
// torch forms when the next iteration begins, is therefore formed before the change: afterwards the
// change of the gradient would be that of two different functions.

extension Optimizer {
    /// Replaces the values of all parameters and keeps the history, like writing to a parameter's
    /// data in torch. Values outside the bounds are projected. O(n).
    /// - Parameter parameters: The new values; n finite numbers.
    /// - Precondition: No step is running.
    public mutating func replaceParameters(_ parameters: [Scalar]) {
        precondition(!isStepping && parameters.count == self.parameters.count)
        precondition(Scalar.isFinite(parameters))
        self.parameters = box.bounds.projected(parameters).point
        trialPoint = self.parameters
        loss = nil
        carried.isEvaluated = false
        // In robust mode gradients on both sides of such a jump form no pair.
        if options.mode == .robust { stepLength = 0 }
    }

    /// Appends parameters. Every stored s and y is padded with zeros, so that s.y and y.y stay as
    /// they were and the pairs remain curvature that was measured. O(m n).
    /// - Parameters:
    ///   - values: The values of the new parameters; finite numbers. Those outside their bounds are
    ///     projected.
    ///   - bounds: The bounds of the new parameters.
    ///   - l1: The weights of the new parameters in the L1 term.
    /// - Precondition: No step is running. Vectors of bounds and weights have as many numbers as
    ///   `values`.
    public mutating func append(
        _ values: [Scalar], bounds: Bounds<Scalar> = .none, l1: L1Weights<Scalar> = .none
    ) {
        precondition(!isStepping && Scalar.isFinite(values))
        formLastPair()
        appendToBox(bounds, l1, counts: (parameters.count, values.count))
        parameters += bounds.projected(values).point
        trialPoint = parameters
        buffers = Buffers()
        loss = nil
        carried.isEvaluated = false
        let padding = [Scalar](repeating: 0, count: values.count)
        if !gradient.isEmpty { gradient += padding }
        if !direction.isEmpty { direction += padding }
        if !previousGradient.isEmpty { previousGradient += padding }
        history.pad(with: padding)
    }

    /// Freezes the parameters in these ranges, and no others: from now on they do not move, and
    /// their gradient counts as zero. O(m n), or O(1) if nothing changes.
    /// - Parameter ranges: Ranges of indices within the parameters.
    /// - Precondition: No step is running.
    public mutating func freeze(_ ranges: [Range<Int>]) {
        precondition(!isStepping)
        precondition(ranges.allSatisfy { $0.lowerBound >= 0 && $0.upperBound <= parameters.count })
        guard ranges != frozenRanges else { return }
        formLastPair()
        frozenRanges = ranges
        carried.isEvaluated = false
    }

    /// The vector with zeros where parameters are frozen. O(n), or O(1) if none is.
    /// - Parameter vector: n numbers in the order of ``parameters``.
    public func masked(_ vector: [Scalar]) -> [Scalar] {
        guard !frozenRanges.isEmpty else { return vector }
        var vector = vector
        for range in frozenRanges {
            for index in range { vector[index] = 0 }
        }
        return vector
    }

    /// Forms the last iteration's pair now, if its gradients are known, rather than at the next
    /// iteration. If the history is empty afterwards, the next iteration counts as the first again
    /// and takes the scaled first step.
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
    /// Lengthens every s and y by zeros; the small matrices stay. O(m n).
    mutating func pad(with padding: [Scalar]) {
        pairs = pairs.map { pair in
            let octets = pair.storage.octets
            let middle = octets.startIndex + octets.count / 2
            let zeros = [UInt8](repeating: 0, count: padding.count * pair.dtype.size)
            return CurvaturePair(
                number: pair.number, dtype: pair.dtype,
                storage: PairStorage(octets[..<middle] + zeros + octets[middle...] + zeros),
                sy: pair.sy, yy: pair.yy)
        }
    }
}
