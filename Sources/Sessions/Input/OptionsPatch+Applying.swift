extension OptionsPatch {
    /// The options with the patch applied. At creation `max_eval` is derived from `max_iter` when
    /// it is not given, as in torch's constructor. Later it stays, as in torch's `param_groups`.
    func applied(to options: Options, isCreation: Bool) throws(SessionError) -> Options {
        var next = isCreation ? Options(mode: mode ?? .torch) : options
        if let lr { next.lr = lr }
        if let maxIterations { next.maxIterations = maxIterations }
        if let maxEvaluations {
            next.maxEvaluations = maxEvaluations
        } else if isCreation {
            next.maxEvaluations = Options.defaultMaxEvaluations(maxIterations: next.maxIterations)
        }
        if let toleranceGradient { next.toleranceGradient = toleranceGradient }
        if let toleranceChange { next.toleranceChange = toleranceChange }
        if let historySize { next.historySize = historySize }
        if let historyDType { next.historyDType = historyDType }
        if let lineSearch { next.lineSearch = lineSearch }
        if let mode { next.mode = mode }
        if let noise { next.noise = noise }
        if let toleranceGradientRelative {
            next.toleranceGradientRelative = toleranceGradientRelative
        }
        if let toleranceLossRelative { next.toleranceLossRelative = toleranceLossRelative }
        if let reuseEvaluation { next.reuseEvaluation = reuseEvaluation }
        do {
            try next.validate()
        } catch {
            throw .invalid([FieldError(field: "options.\(error.option)", reason: error.reason)])
        }
        return next
    }

    /// The sign is chosen once: histories of both would not fit together.
    func checkMaximizeUnchanged(_ isMaximizing: Bool) throws(SessionError) {
        guard let maximize, maximize != isMaximizing else { return }
        throw .invalid([
            FieldError(field: "options.maximize", reason: "is fixed when a session is created")
        ])
    }
}
