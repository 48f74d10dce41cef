internal import Foundation

/// Differences of the loss along a direction, with the step that they are best with, and what they
/// say of a gradient. The Python client's `check_gradient` does the same.
struct GradientProbe {
    /// How a central difference differs from the gradient's slope, for a direction of length 1 in
    /// steps.
    struct Difference {
        var power: Int
        var step: Double
        var slope: Double
        var residual: Double
        var precision: Double
    }

    /// Of one step of the sweep to the next.
    static let ratio = 4.0
    /// Powers of the ratio, times the usual step of central differences, the cube root of the
    /// noise.
    static let sweep = [3, 2, 1, 0, -1, -2, -3, -4]
    /// How many roundings of x its function may come to.
    private static let roundings = 4.0
    /// A difference is wrong by this many times its precision, or not at all.
    static let safety = 10.0

    let x: [Double]
    let gradient: [Double]
    let value: Double
    let isSingle: Bool
    private let loss: ([Double]) throws(CommandFailure) -> Double
    private(set) var noise: Double
    private(set) var usualStep: Double

    private var epsilon: Double { isSingle ? Double(Float.ulpOfOne) : .ulpOfOne }
    var relativeNoise: Double { value == 0 ? 0 : noise / abs(value) }

    /// - Parameter loss: The loss at a point; NaN where there is none.
    init(
        x: [Double], value: Double, gradient: [Double], isSingle: Bool,
        loss: @escaping ([Double]) throws(CommandFailure) -> Double
    ) {
        (self.x, self.value, self.gradient) = (x, value, gradient)
        (self.isSingle, self.loss) = (isSingle, loss)
        noise = Double.ulpOfOne * abs(value)
        usualStep = cbrt(isSingle ? Double(Float.ulpOfOne) : .ulpOfOne)
    }

    /// Takes the noise that is given, relative to the loss, or estimates it along a direction.
    mutating func setNoise(
        _ given: Double?, along direction: [Double]
    ) throws(CommandFailure) {
        var found = (given ?? 0) * abs(value)
        if given == nil {
            // The third difference of a smooth function is then below its rounding.
            found = try NoiseEstimate.standardDeviation(distance: pow(epsilon, 3.0 / 8)) {
                places throws(CommandFailure) in
                try sample(direction, at: places)
            }
        }
        noise = max(noise, found)
        usualStep = cbrt(max(epsilon, min(relativeNoise, 1e-3)))
    }

    private func sample(
        _ direction: [Double], at places: [Double]
    ) throws(CommandFailure) -> NoiseEstimate.Sample {
        var sample = NoiseEstimate.Sample(losses: [], values: [])
        for place in places {
            let (value, slope) = try valueAndSlope(direction, place)
            sample.losses.append(value)
            // The rounding of points to Float32 would look like noise.
            sample.values.append(isSingle ? value - slope : value)
        }
        return sample
    }

    /// The loss at x + length * direction, rounded to the type of x, and the gradient's slope times
    /// the way.
    private func valueAndSlope(
        _ direction: [Double], _ length: Double
    ) throws(CommandFailure) -> (Double, Double) {
        let point = zip(x, direction).map { number, part in
            let moved = number + length * part
            return isSingle ? Double(Float(moved)) : moved
        }
        var slope = 0.0
        for index in x.indices { slope += gradient[index] * (point[index] - x[index]) }
        return (try loss(point), slope)
    }

    /// The best of the central differences with these steps: where the noise and the disagreement
    /// with its neighbours are least. Nil where the loss is not finite.
    func difference(
        _ direction: [Double], powers: [Int]
    ) throws(CommandFailure) -> Difference? {
        var ways: [Difference] = []
        for power in powers { ways.append(try central(direction, power)) }
        var best: Difference?
        for (index, way) in ways.enumerated() where way.residual.isFinite {
            var near: [Double] = []
            if index + 1 < ways.count { near.append(abs(way.residual - ways[index + 1].residual)) }
            if index > 0 {
                let change = abs(way.residual - ways[index - 1].residual)
                near.append(change / (Self.ratio * Self.ratio))
            }
            guard let disagreement = near.filter(\.isFinite).max() else { continue }
            var found = way
            found.precision += disagreement
            if found.precision < best?.precision ?? .infinity { best = found }
        }
        return best
    }

    private func central(
        _ direction: [Double], _ power: Int
    ) throws(CommandFailure) -> Difference {
        let step = usualStep * pow(Self.ratio, Double(power))
        let (above, ahead) = try valueAndSlope(direction, step)
        let (below, behind) = try valueAndSlope(direction, -step)
        // The gradient at a rounded x is that of a point nearby: at a minimum nothing but this is
        // left of it.
        let curvature = abs(above - ahead + below - behind - 2 * value) / (step * step)
        return Difference(
            power: power, step: step, slope: (ahead - behind) / (2 * step),
            residual: ((above - ahead) - (below - behind)) / (2 * step),
            precision: noise / step + Self.roundings * epsilon * curvature)
    }
}
