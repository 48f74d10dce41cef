public import LBFGS

/// A function to minimise, with its gradient.
public struct Problem: Sendable {
    public var name: String
    /// The starting point.
    public var start: [Double]
    /// Whether only +, -, *, / and comparisons are used, so that the values have the same bits on
    /// every machine.
    public var isExact: Bool
    public var evaluate: @Sendable ([Double]) -> (loss: Double, gradient: [Double])

    public init(
        name: String, start: [Double], isExact: Bool = true,
        evaluate: @escaping @Sendable ([Double]) -> (loss: Double, gradient: [Double])
    ) {
        self.name = name
        self.start = start
        self.isExact = isExact
        self.evaluate = evaluate
    }

    /// The loss, and the gradient rounded to a precision, at a point of that precision.
    public func evaluate<Scalar: EngineScalar>(
        at point: [Scalar]
    ) -> (loss: Double, gradient: [Scalar]) {
        let (loss, gradient) = evaluate(point.map(Double.init))
        return (loss, gradient.map { Scalar($0) })
    }
}

extension Problem {
    /// The extended Rosenbrock function (Moré, Garbow & Hillstrom 1981, problem 21).
    public static func rosenbrock(_ count: Int = 2) -> Problem {
        Problem(name: "rosenbrock-\(count)", start: (0..<count).map { $0 % 2 == 0 ? -1.2 : 1 }) {
            x in
            var loss = 0.0
            var gradient = [Double](repeating: 0, count: x.count)
            for i in stride(from: 0, to: x.count - 1, by: 2) {
                let valley = x[i + 1] - x[i] * x[i]
                let slope = 1 - x[i]
                loss += 100 * (valley * valley) + slope * slope
                gradient[i] = -400 * (x[i] * valley) - 2 * slope
                gradient[i + 1] = 200 * valley
            }
            return (loss, gradient)
        }
    }

    /// sum_i e_i x_i^2 / 2, with eigenvalues from 1 to `condition`, evenly spaced in 1 / e.
    public static func quadratic(_ count: Int, condition: Double) -> Problem {
        Problem(
            name: "quadratic-\(count)-\(condition)", start: [Double](repeating: 1, count: count)
        ) { x in
            var loss = 0.0
            var gradient = [Double](repeating: 0, count: x.count)
            for i in x.indices {
                let share = x.count == 1 ? 0 : Double(i) / Double(x.count - 1)
                let eigenvalue = 1 / (1 - share + share / condition)
                gradient[i] = eigenvalue * x[i]
                loss += gradient[i] * x[i] / 2
            }
            return (loss, gradient)
        }
    }

    /// x - 0.01 ln x from 0.5: NaN for x < 0, where torch's line search runs off to -6e17.
    public static func barrier(logarithm: @escaping @Sendable (Double) -> Double) -> Problem {
        Problem(name: "barrier", start: [0.5], isExact: false) { x in
            (x[0] - 0.01 * logarithm(x[0]), [1 - 0.01 / x[0]])
        }
    }
}

/// A fingerprint of a trajectory: FNV-1a over the bits of numbers.
public struct Fingerprint: Sendable {
    public private(set) var value: UInt64 = 0xcbf2_9ce4_8422_2325

    public init() {}

    public mutating func add(_ number: Double) {
        for shift in stride(from: 0, to: 64, by: 8) {
            value ^= (number.bitPattern >> UInt64(shift)) & 0xff
            value = value &* 0x0000_0100_0000_01b3
        }
    }
}
