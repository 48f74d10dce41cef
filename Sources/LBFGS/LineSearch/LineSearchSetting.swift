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
    /// With bounds, t where the path P(x + t d) leaves its straight part; nil if it is a line.
    package var bend: Double?

    package init(
        loss: Double, slope: Double, lossNoise: Double, stepLength: Double,
        directionNormInf: Double, trialsMax: Int, bend: Double? = nil
    ) {
        start = LineSearchPoint(trial: 0, stepLength: 0, loss: loss, slope: slope)
        self.lossNoise = lossNoise
        self.stepLength = stepLength
        self.directionNormInf = directionNormInf
        self.trialsMax = trialsMax
        self.bend = bend
    }

    /// Far more trials than any search is given, and few enough to be over soon if all of them
    /// overflow.
    private static let storedTrialsMax = 1_000

    func validate(_ path: String) throws(SnapshotError) {
        try start.validate(path + ".start", trials: 0)
        try requireStepLength(stepLength, path + ".stepLength")
        try requireCount(
            trialsMax, from: 1, upTo: LineSearchSetting.storedTrialsMax, path + ".trialsMax")
    }
}
