// Bounds and L1 terms as a program sees them.

extension Optimizer {
    /// The bounds of the parameters; ``Bounds/none`` unless they were set.
    public var bounds: Bounds<Scalar> { box.bounds }

    /// The weights of the L1 term; ``L1Weights/none`` unless they were set.
    public var l1: L1Weights<Scalar> { box.l1 }

    /// Sets the bounds, and projects the parameters onto them. The history is kept. If a parameter
    /// moves, the evaluation at the parameters is no longer known. O(n).
    ///
    /// From then on ``numerics`` is ``numericsVersionWithBounds`` at least.
    /// - Parameter bounds: Bounds of n parameters; ``Bounds/none`` removes them.
    /// - Precondition: No step is running.
    /// - Returns: How many parameters were outside the bounds.
    /// - Throws: As ``check(_:)-(Bounds<Scalar>)``, and then nothing has changed.
    @discardableResult
    public mutating func setBounds(_ bounds: Bounds<Scalar>) throws(BoundsError) -> Int {
        precondition(!isStepping, "a step runs")
        try check(bounds)
        guard bounds != box.bounds else { return 0 }
        beginUsingBox()
        box.bounds = bounds
        let (point, moved) = bounds.projected(parameters)
        parameters = point
        trialPoint = point
        if moved > 0 {
            loss = nil
            carried.isEvaluated = false
            stepLength = 0
        } else if carried.isEvaluated {
            gradientNormInf = inspect(gradient).normInf
        }
        return moved
    }

    /// Checks whether ``setBounds(_:)`` can set bounds. O(1).
    /// - Throws: What does not fit.
    public func check(_ bounds: Bounds<Scalar>) throws(BoundsError) {
        if !bounds.isEmpty, options.mode == .torch {
            throw .needsRobustMode(bounds.lower == .none ? .upper : .lower)
        }
        try bounds.check(count: parameters.count)
    }

    /// Sets the weights of the L1 term that is added to the loss: from then on the losses that the
    /// optimizer reports and compares are f(x) + sum_i w_i |x_i|, while those that it is told, and
    /// their gradients, stay those of f. The history is kept; the evaluation at the parameters is
    /// no longer known. O(n).
    /// - Parameter l1: Weights of n parameters; ``L1Weights/none`` removes the term.
    /// - Precondition: No step is running.
    /// - Throws: As ``check(_:)-(L1Weights<Scalar>)``, and then nothing has changed.
    public mutating func setL1(_ l1: L1Weights<Scalar>) throws(BoundsError) {
        precondition(!isStepping, "a step runs")
        try check(l1)
        guard l1 != box.l1 else { return }
        beginUsingBox()
        box.l1 = l1
        loss = nil
        carried.isEvaluated = false
        // The lowest loss so far was that of another function.
        carried.best = nil
    }

    /// Checks whether ``setL1(_:)`` can set weights. O(1).
    /// - Throws: What does not fit.
    public func check(_ l1: L1Weights<Scalar>) throws(BoundsError) {
        if !l1.isEmpty, options.mode == .torch { throw .needsRobustMode(.l1) }
        if let got = l1.weights.count, got != parameters.count {
            throw .wrongCount(.l1, expected: parameters.count, got: got)
        }
    }

    /// Checks whether a step can have these options: they must be valid, and bounds and an L1 term
    /// need mode `robust`. O(1).
    /// - Throws: The first option that is out of range.
    public func check(_ options: Options) throws(OptionError) {
        try options.validate()
        guard options.mode == .torch else { return }
        if !box.bounds.isEmpty { throw .boundsNeedRobustMode }
        if !box.l1.isEmpty { throw .l1NeedsRobustMode }
    }

    /// With bounds or an L1 term: the largest component of the projected gradient where ``loss``
    /// was measured, on which `tolerance_grad` is; nil without, and before an evaluation. O(1).
    ///
    /// A component is min(x_i - l_i, g_i) where g_i >= 0, and max(x_i - u_i, g_i) else, as in
    /// L-BFGS-B; with an L1 term g is the pseudo-gradient (Andrew & Gao 2007). It is zero at a
    /// minimum within the bounds.
    public var projectedGradientNormInf: Double? {
        isBoxed && gradientNormInf < .infinity ? gradientNormInf : nil
    }

    /// How many parameters are at a bound. O(n), and O(1) without bounds.
    public var activeBoundCount: Int {
        guard !box.bounds.isEmpty else { return 0 }
        var count = 0
        for index in parameters.indices where activeSide(index) != nil { count += 1 }
        return count
    }

    /// The parameters that are at a bound, in the order of their indices. O(n).
    /// - Parameters:
    ///   - first: The first index to look at.
    ///   - limit: The most parameters to return.
    public func activeSet(from first: Int = 0, limit: Int = .max) -> [ActiveBound] {
        guard !box.bounds.isEmpty else { return [] }
        var found: [ActiveBound] = []
        for index in parameters.indices.dropFirst(first) {
            guard found.count < limit else { break }
            guard let side = activeSide(index) else { continue }
            found.append(
                ActiveBound(
                    index: index, side: side,
                    multiplier: carried.isEvaluated ? Double(gradient[index]) : nil))
        }
        return found
    }

    private func activeSide(_ index: Int) -> ActiveBound.Side? {
        let x = parameters[index]
        return switch (x <= box.bounds.lower(at: index), x >= box.bounds.upper(at: index)) {
        case (true, true): .fixed
        case (true, false): .lower
        case (false, true): .upper
        case (false, false): nil
        }
    }

    private mutating func beginUsingBox() {
        box.isUsed = true
        numerics = max(numerics, numericsVersionWithBounds)
    }
}

// MARK: - For the steps

extension Optimizer {
    /// P(x + t d), with the bits of the trial point at that step length.
    func boxPoint(at stepLength: Double) -> [Scalar] {
        var (point, workspace): ([Scalar], Workspace) = ([], Workspace())
        _ = computeBoxPoint(
            parameters, along: direction, by: stepLength, box, into: &point, &workspace,
            on: executor)
        return point
    }

    /// Sets the direction to the step from `start`, with a step length of 1: on a path that bends
    /// the step is not t d.
    mutating func replaceDirectionByStep(from start: [Scalar]) {
        direction = Scalar.difference(parameters, start)
        directionNormInf = Scalar.normInf(direction)
        stepLength = 1
    }

    /// ||g||_inf where ``loss`` was measured, without the L1 term; nil where it is not known. O(1),
    /// or O(n) with bounds or an L1 term, where the optimizer itself does not need it.
    public var resultGradientNormInf: Double? {
        guard isBoxed else { return gradientNormInf < .infinity ? gradientNormInf : nil }
        return carried.isEvaluated ? Scalar.normInf(gradient) : nil
    }

    /// Appends the bounds and weights of parameters that join.
    mutating func appendToBox(
        _ bounds: Bounds<Scalar>, _ l1: L1Weights<Scalar>, counts: (Int, Int)
    ) {
        for count in [bounds.lower.count, bounds.upper.count, l1.weights.count] {
            precondition(count == nil || count == counts.1, "bounds of other parameters")
        }
        if !bounds.isEmpty || !l1.isEmpty { beginUsingBox() }
        box.bounds = box.bounds.appending(bounds, counts: counts)
        box.l1 = box.l1.appending(l1, counts: counts)
        box.baseFace = []
        face = FaceCache()
    }
}
