// The strategies of mode `torch`: those of torch.optim.LBFGS 2.13.

extension StepMachine {
    /// -g in the first iteration since the optimizer was created, else -H g. The first trial is at
    /// lr, which is scaled by min(1, 1 / ||g||_1) in the first iteration.
    ///
    /// Sets `stepLength` too, as torch's `t` holds the first trial's until the search has ended.
    mutating func chooseTorchDirection() -> SearchDirection {
        let lr = progress.options.lr
        if iterationCount == 1 {
            let slope = useNegativeGradient()
            stepLength = torchFirstStepLength(lr: lr)
            return SearchDirection(slope: slope, firstStepLength: stepLength)
        }
        _ = addLastPair(curvatureMin: torchCurvatureMin)
        let slope = computeDirection(placingTrialAt: lr)
        stepLength = lr
        return SearchDirection(slope: slope, firstStepLength: lr)
    }

    /// The step length of the first iteration since the optimizer was created.
    private func torchFirstStepLength(lr: Double) -> Double { min(1, 1 / gradientNorm1) * lr }

    /// torch's search may use `max_eval + 1` evaluations: its budget counts the trials after the
    /// first.
    mutating func beginTorchSearch(along line: SearchDirection) -> Directive {
        switch progress.options.lineSearch {
        case nil:
            return takeFixedStep(line.firstStepLength)
        case .strongWolfe:
            guard let loss else { preconditionFailure("an iteration begins where f is known") }
            let search = StrongWolfeSearch(
                loss: loss, slope: line.slope, stepLength: line.firstStepLength,
                directionNormInf: directionNormInf,
                extraTrialsMax: progress.options.maxEvaluations - progress.evaluations,
                isTensor: isFirstStepLengthTensor)
            return perform(.evaluate(stepLength: line.firstStepLength), of: search)
        case .moreThuente, .hagerZhang, .backtracking:
            preconditionFailure("options that were not validated: \(progress.options)")
        }
    }
}
