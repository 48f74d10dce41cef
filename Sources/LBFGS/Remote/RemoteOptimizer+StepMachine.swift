// What `StepMachine` wants to be done with vectors becomes a part of the next command.

extension RemoteOptimizer: StepMachine {
    typealias Gradient = RemoteGradient

    var isBoxed: Bool { false }
    var isFirstStepLengthTensor: Bool? { nil }
    var boxResult: (projectedGradientNormInf: Double?, activeBounds: Int)? { nil }
    mutating func chooseBoxDirectionIfAny() -> SearchDirection? { nil }
    var resultGradientNormInf: Double? { gradientNormInf < .infinity ? gradientNormInf : nil }

    // MARK: Gradients

    var gradientNorm1: Double { gradient.gradientNorm1 }

    mutating func retainGradientOfStart() {
        startGradientSquared = gradient.gradientSquared
        gradient.becomeStart()
    }

    mutating func takeTrialGradient(_ gradient: RemoteGradient, isNewest: Bool) {
        self.gradient = gradient
        gradientNormInf = gradient.gradientNormInf
    }

    // MARK: History and direction

    var hasPairs: Bool { !history.pairs.isEmpty }
    var initialScale: Double { history.initialScale }

    mutating func removePairs() {
        if hasPairs || command.push { command.clear = true }
        (command.push, command.drop) = (false, false)
        history.removeAll()
        gradient.removePairs()
    }

    var lastStepNorms: (step: Double, gradient: Double)? {
        guard let startGradientSquared, stepLength != 0 else { return nil }
        return (
            abs(stepLength) * directionSquared.squareRoot(),
            max(gradient.gradientSquared, startGradientSquared).squareRoot()
        )
    }

    mutating func addLastPair(curvatureMin: Double) -> Bool {
        guard startGradientSquared != nil else {
            prepareDirection()
            return false
        }
        let dropped = max(0, history.pairs.count - historySize + 1)
        fillDots(from: dropped)
        let own = 4 * (history.pairs.count - dropped)
        let t = stepLength
        history.workspace.dots.grow(to: own + 4)
        history.workspace.dots[own] = t * gradient.gradientDirection
        history.workspace.dots[own + 1] = gradient.changeDotGradient
        history.workspace.dots[own + 2] = t * gradient.changeDirection
        history.workspace.dots[own + 3] = gradient.changeSquared
        var storage = PairStorage([])
        guard history.append(&storage, .float64, dropping: dropped, curvatureMin) else {
            prepareDirection()
            return false
        }
        gradient.append(step: stepLength, dropping: dropped)
        command.push = true
        command.drop = dropped > 0
        return true
    }

    mutating func prepareDirection() { fillDots(from: 0) }

    /// Fills the workspace by the products of the pairs from `first` on with the gradient and with
    /// its change, as the local pass over the history does.
    private mutating func fillDots(from first: Int) {
        history.workspace.setTable(history.pairs[first...])
        history.workspace.dots.grow(to: 4 * (history.workspace.pairCount + 1))
        for index in 0..<history.workspace.pairCount {
            history.workspace.dots[4 * index] = gradient.stepGradient[first + index]
            history.workspace.dots[4 * index + 1] = gradient.changeGradient[first + index]
            history.workspace.dots[4 * index + 2] = gradient.stepChange[first + index]
            history.workspace.dots[4 * index + 3] = gradient.changeChange[first + index]
        }
    }

    mutating func computeDirection(placingTrialAt firstStepLength: Double) -> Double {
        history.workspace.setTable(history.pairs[...])
        let count = history.pairs.count
        var own = [Double](repeating: 0, count: count)
        history.workspace.computeWeights(gamma: history.initialScale, alphas: &own)
        var coefficients = RemoteCommand.Coefficients(
            gradient: -history.initialScale, steps: [], changes: [])
        var slope = -history.initialScale * gradient.gradientSquared
        for index in 0..<count {
            let step = history.workspace.stepWeights[index]
            let change = history.workspace.changeWeights[index]
            coefficients.steps.append(step)
            coefficients.changes.append(change)
            slope += step * history.workspace.dots[4 * index]
            slope += change * history.workspace.dots[4 * index + 1]
        }
        command.coefficients = coefficients
        // Its max-norm comes with the first trial.
        directionNormInf = 0
        predictedSlope = slope
        return slope
    }

    mutating func useNegativeGradient() -> Double { useGradient(times: -1) }

    mutating func useSteepestDescent(scale: Double?) -> Double {
        if let scale { return useGradient(times: -scale) }
        let largest = max(gradientNormInf, .leastNormalMagnitude)
        // The square may have overflown or vanished: the worker with the largest component is then
        // as good a measure.
        let length = gradient.gradientSquared.squareRoot()
        return useGradient(times: -1 / (length.isNormal ? length : largest))
    }

    private mutating func useGradient(times factor: Double) -> Double {
        let none = [Double](repeating: 0, count: history.pairs.count)
        command.coefficients = .init(gradient: factor, steps: none, changes: none)
        let slope = factor * gradient.gradientSquared
        directionNormInf = abs(factor) * gradientNormInf
        predictedSlope = slope
        return slope
    }

    // MARK: Points

    mutating func placeTrialAtParameters() {
        command.stepLength = 0
    }

    mutating func placeTrial(at stepLength: Double) -> Bool {
        command.stepLength = stepLength
        return true
    }

    var isTrialAtStart: Bool { false }

    mutating func clearTrialPoint() {
        command.stepLength = nil
        command.retain = []
    }

    mutating func move(by stepLength: Double, isTrial: Bool) {
        self.stepLength = stepLength
        // The last move of a step without a search is along a direction that this command makes.
        if command.coefficients != nil {
            command.move = stepLength
        } else {
            command.accept = stepLength
        }
    }

    mutating func jump(by stepLength: Double) {
        command.accept = stepLength
    }

    mutating func jumpToSavedPoint() {
        command.restore = true
    }

    mutating func returnToSavedPointAndGradient() -> Bool {
        command.restore = true
        carried.isEvaluated = false
        return true
    }

    mutating func savePoint(at stepLength: Double?, gradient: RemoteGradient?) {
        // A step that moves along a direction of this command ends there, and not at its best.
        if command.coefficients == nil { command.save = stepLength ?? 0 }
    }

    mutating func forgetSavedPoint() {}
}
