/// What is known of a gradient that stays on workers: its dot products with the vectors that they
/// hold.
///
/// With g the gradient at the trial point, h the gradient where the line began, v = g - h, d the
/// direction, and the pairs (s_i, y_i) of the history, oldest first. The numbers of all workers are
/// added in the order of their ranges, in Float64, so that one layout always gives the same bits.
/// Max-norms are the largest of the workers'.
///
/// 4 m + 10 numbers, whatever n is.
public struct RemoteGradient: Equatable, Sendable, Codable {
    /// t of the trial point x + t d.
    var stepLength = 0.0
    /// s_i.g
    public var stepGradient: [Double]
    /// y_i.g
    public var changeGradient: [Double]
    /// s_i.v
    public var stepChange: [Double]
    /// y_i.v
    public var changeChange: [Double]
    /// g.d; 0 before the first direction, as are the next three.
    public var gradientDirection: Double
    /// h.d
    public var startDirection: Double
    /// v.d
    public var changeDirection: Double
    /// d.d
    public var directionSquared: Double
    /// v.v; 0 where there is no h, as is the next.
    public var changeSquared: Double
    /// v.g
    public var changeDotGradient: Double
    /// g.g
    public var gradientSquared: Double
    /// ||g||_inf
    public var gradientNormInf: Double
    /// ||g||_1
    public var gradientNorm1: Double
    /// ||d||_inf; 0 before the first direction.
    public var directionNormInf: Double

    /// A gradient of which nothing is known.
    static let unknown = RemoteGradient(pairCount: 0)

    /// Zeros, for a history of this many pairs.
    public init(pairCount: Int) {
        let none = [Double](repeating: 0, count: pairCount)
        (stepGradient, changeGradient, stepChange, changeChange) = (none, none, none, none)
        (gradientDirection, startDirection, changeDirection) = (0, 0, 0)
        (directionSquared, changeSquared, changeDotGradient) = (0, 0, 0)
        (gradientSquared, gradientNormInf, gradientNorm1, directionNormInf) = (0, 0, 0, 0)
    }

    /// Whether all numbers are finite.
    public var isFinite: Bool {
        let vectors = [stepGradient, changeGradient, stepChange, changeChange]
        return vectors.allSatisfy { $0.allSatisfy(\.isFinite) }
            && [
                gradientDirection, startDirection, changeDirection, directionSquared,
                changeSquared, changeDotGradient, gradientSquared, gradientNormInf,
                gradientNorm1, directionNormInf,
            ].allSatisfy(\.isFinite)
    }

    /// How many pairs the vectors' owners had.
    public var pairCount: Int { stepGradient.count }

    /// Whether all four vectors have a number for each of so many pairs.
    func has(pairs count: Int) -> Bool {
        [stepGradient, changeGradient, stepChange, changeChange].allSatisfy { $0.count == count }
    }

    /// The products with the pairs that are left when the oldest are dropped, and with a new pair
    /// t d, v.
    mutating func append(step t: Double, dropping dropped: Int) {
        stepGradient = stepGradient.dropFirst(dropped) + [t * gradientDirection]
        changeGradient = changeGradient.dropFirst(dropped) + [changeDotGradient]
        stepChange = stepChange.dropFirst(dropped) + [t * changeDirection]
        changeChange = changeChange.dropFirst(dropped) + [changeSquared]
    }

    /// h = g: a line begins here.
    mutating func becomeStart() {
        let none = [Double](repeating: 0, count: pairCount)
        (stepChange, changeChange) = (none, none)
        (changeDirection, changeSquared, changeDotGradient) = (0, 0, 0)
    }

    /// Leaves the products with pairs away, because there are no pairs any more.
    mutating func removePairs() {
        (stepGradient, changeGradient, stepChange, changeChange) = ([], [], [], [])
    }

    /// Adds the part of the next worker.
    public mutating func add(_ part: RemoteGradient) {
        precondition(part.has(pairs: pairCount), "parts of one gradient have as many pairs")
        for index in 0..<pairCount {
            stepGradient[index] += part.stepGradient[index]
            changeGradient[index] += part.changeGradient[index]
            stepChange[index] += part.stepChange[index]
            changeChange[index] += part.changeChange[index]
        }
        gradientDirection += part.gradientDirection
        startDirection += part.startDirection
        changeDirection += part.changeDirection
        directionSquared += part.directionSquared
        changeSquared += part.changeSquared
        changeDotGradient += part.changeDotGradient
        gradientSquared += part.gradientSquared
        gradientNormInf = max(gradientNormInf, part.gradientNormInf)
        gradientNorm1 += part.gradientNorm1
        directionNormInf = max(directionNormInf, part.directionNormInf)
    }
}
