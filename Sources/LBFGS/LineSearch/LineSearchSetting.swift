/// What a line search of robust mode starts from.
package struct LineSearchSetting: Equatable, Sendable, Codable {
    /// phi(0) and phi'(0), which is negative.
    package var start: LineSearchPoint
    /// How much the noise of the evaluation may change a loss: a loss above phi(0) by no more than
    /// this is not known to be above it (epsilon_k of Hager & Zhang 2005).
    package var lossNoise: Double
    /// t of the first trial.
    package var stepLength: Double
    /// ||d||_inf
    package var directionNormInf: Double
    /// The most trials; at least 1.
    package var trialsMax: Int

    package init(
        loss: Double, slope: Double, lossNoise: Double, stepLength: Double,
        directionNormInf: Double, trialsMax: Int
    ) {
        start = LineSearchPoint(trial: 0, stepLength: 0, loss: loss, slope: slope)
        self.lossNoise = lossNoise
        self.stepLength = stepLength
        self.directionNormInf = directionNormInf
        self.trialsMax = trialsMax
    }
}
