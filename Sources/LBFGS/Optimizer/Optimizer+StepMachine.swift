// An optimizer's vectors are arrays in this process: what `StepMachine` wants to be done with them.
// The passes over the history are in `Optimizer+Passes.swift`.

extension Optimizer: StepMachine {
    typealias Gradient = [Scalar]

    var unitRoundoff: Double { Double(Scalar.ulpOfOne) }

    // MARK: Gradients

    mutating func retainGradientOfStart() { previousGradient = gradient }

    mutating func takeTrialGradient(_ gradient: [Scalar], isNewest: Bool) {
        self.gradient = gradient
        gradientNormInf = isNewest ? buffers.trialNormInf : Scalar.normInf(gradient)
    }

    // MARK: History and direction

    var hasPairs: Bool { !history.pairs.isEmpty }
    var initialScale: Double { history.initialScale }
    mutating func removePairs() { history.removeAll() }
    mutating func prepareDirection() { history.computeDotProducts(with: gradient) }

    var lastStepNorms: (step: Double, gradient: Double)? {
        guard !previousGradient.isEmpty, stepLength != 0 else { return nil }
        let step = abs(stepLength) * Scalar.dot(direction, direction).squareRoot()
        let gradient = max(
            Scalar.dot(gradient, gradient), Scalar.dot(previousGradient, previousGradient)
        ).squareRoot()
        return (step, gradient)
    }

    mutating func useNegativeGradient() -> Double {
        direction = Scalar.scaled(gradient, by: -1)
        directionNormInf = gradientNormInf
        return slope(gradient)
    }

    mutating func useSteepestDescent(scale: Double?) -> Double {
        (direction, alphas) = (steepestDescent(scale: scale), nil)
        buffers.precomputedTrial = nil
        directionNormInf = Scalar.normInf(direction)
        return Scalar.dot(gradient, direction)
    }

    /// In two steps where the length is to be 1, so that the square of a gradient neither overflows
    /// nor vanishes.
    private func steepestDescent(scale: Double?) -> [Scalar] {
        if let scale { return Scalar.scaled(gradient, by: -scale) }
        let unit = Scalar.scaled(gradient, by: -1 / max(gradientNormInf, .leastNormalMagnitude))
        let length = Scalar.dot(unit, unit).squareRoot()
        return length > 0 ? Scalar.scaled(unit, by: 1 / length) : unit
    }

    mutating func chooseBoxDirectionIfAny() -> SearchDirection? {
        isBoxed ? chooseBoxDirection() : nil
    }

    // MARK: Points

    mutating func placeTrialAtParameters() { trialPoint = parameters }

    var isTrialAtStart: Bool { trialPoint == parameters }

    mutating func move(by stepLength: Double, isTrial: Bool) {
        let destination = isTrial ? trialPoint : point(at: stepLength)
        swap(&parameters, &buffers.spare)
        parameters = destination
        self.stepLength = stepLength
        if isBoxed { replaceDirectionByStep(from: buffers.spare) }
    }

    mutating func jump(by stepLength: Double) { parameters = point(at: stepLength) }

    mutating func jumpToSavedPoint() { parameters = bestPoint }

    mutating func returnToSavedPointAndGradient() -> Bool {
        guard !bestGradient.isEmpty else { return false }
        parameters = bestPoint
        gradient = bestGradient
        return true
    }

    mutating func savePoint(at stepLength: Double?, gradient: [Scalar]?) {
        bestPoint = stepLength.map { point(at: $0) } ?? parameters
        bestGradient = gradient ?? []
    }

    mutating func forgetSavedPoint() { (bestPoint, bestGradient) = ([], []) }

    // MARK: Results

    var boxResult: (projectedGradientNormInf: Double?, activeBounds: Int)? {
        isBoxed ? (projectedGradientNormInf, activeBoundCount) : nil
    }
}
