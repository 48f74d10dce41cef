/// The generalized Cauchy point: the first minimum of the L-BFGS model along the projected gradient
/// path x(t) = P(x - t g), which is piecewise linear.
///
/// Theory. Byrd, Lu, Nocedal & Zhu 1995, algorithm CP. The path bends where a parameter reaches its
/// bound, at t_i = (x_i - u_i) / g_i or (x_i - l_i) / g_i. From one such breakpoint to the next the
/// model is a parabola, whose slope f' and curvature f'' are updated by the parameter that stops:
/// O(m^2), with its row w_b of W. Breakpoints are taken from a heap, as far as the minimum lies
/// beyond them.
///
/// The row's product with M is computed once and gives all three terms of a breakpoint.
package struct CauchyPath: Sendable {
    package init() {}

    /// 2 m numbers: W' d for the path's present direction d.
    private var p: [Double] = []
    /// W' (x(t) - x)
    private var c: [Double] = []
    private var product: [Double] = []
    /// The same sum over the parameters that have stopped: W_A' Delta_A.
    package private(set) var stopped: [Double] = []
    private var count = 0
    private var theta = 1.0
    /// g.g over the parameters that have not stopped, and g.(x(t) - x) over the others.
    private var gradientSquared = 0.0
    private var stoppedSlope = 0.0
    private var slope = 0.0
    private var curvature = 0.0
    private var curvatureMin = 0.0
    /// t at the last breakpoint.
    private var start = 0.0

    /// f'' is kept from vanishing by rounding (L-BFGS-B 3.0, `cauchy`).
    static let curvatureShareMin = Double.ulpOfOne

    /// Begins the path at x.
    /// - Parameters:
    ///   - theta: The scale of the initial Hessian.
    ///   - gradientSquared: g.g over the free parameters.
    ///   - sg: s_i.g over the same.
    ///   - yg: y_i.g over the same.
    package mutating func begin(
        _ middle: MiddleMatrix, theta: Double, gradientSquared: Double, sg: [Double], yg: [Double]
    ) {
        count = middle.count
        self.theta = theta
        self.gradientSquared = gradientSquared
        stoppedSlope = 0
        for array in [\CauchyPath.p, \.c, \.product, \.stopped] {
            self[keyPath: array] = [Double](repeating: 0, count: 2 * count)
        }
        for i in 0..<count {
            p[i] = -yg[i]
            p[count + i] = -theta * sg[i]
        }
        middle.multiply(p, into: &product)
        slope = -gradientSquared
        curvature = theta * gradientSquared - dot(product, p)
        curvatureMin = CauchyPath.curvatureShareMin * theta * gradientSquared
        curvature = max(curvature, curvatureMin)
        start = 0
    }

    /// t of the minimum, if no further parameter stops.
    package var minimizer: Double { start + max(0, -slope / curvature) }

    /// g.(x(t) - x) at the minimum: how much the loss changes on the way there, by its gradient.
    package var slopeToMinimizer: Double {
        stoppedSlope - minimizer * max(0, gradientSquared)
    }

    /// Goes on to the breakpoint of a parameter that stops there.
    /// - Parameters:
    ///   - breakpoint: t
    ///   - gradient: g_b
    ///   - move: How far the parameter has moved: its bound minus x_b.
    ///   - row: w_b, 2 m numbers.
    package mutating func stop(
        at breakpoint: Double, gradient: Double, move: Double, row: [Double],
        _ middle: MiddleMatrix
    ) {
        let interval = breakpoint - start
        for i in 0..<2 * count {
            c[i] += interval * p[i]
            stopped[i] += move * row[i]
        }
        middle.multiply(row, into: &product)
        slope +=
            interval * curvature + gradient * gradient + theta * gradient * move
            - gradient * dot(product, c)
        curvature -=
            theta * gradient * gradient + 2 * gradient * dot(product, p)
            + gradient * gradient * dot(product, row)
        curvature = max(curvature, curvatureMin)
        for i in 0..<2 * count { p[i] += gradient * row[i] }
        start = breakpoint
        gradientSquared -= gradient * gradient
        stoppedSlope += gradient * move
    }

    private func dot(_ first: [Double], _ second: [Double]) -> Double {
        var sum = 0.0
        for i in 0..<2 * count { sum += first[i] * second[i] }
        return sum
    }
}

/// Breakpoints, the nearest first: a binary heap. Equal ones come in the order of their indices.
package struct BreakpointHeap: Sendable {
    package struct Breakpoint: Equatable, Sendable {
        /// t
        package var stepLength: Double
        /// The parameter.
        package var index: Int

        package init(stepLength: Double, index: Int) {
            (self.stepLength, self.index) = (stepLength, index)
        }

        static func < (one: Breakpoint, other: Breakpoint) -> Bool {
            one.stepLength != other.stepLength
                ? one.stepLength < other.stepLength : one.index < other.index
        }
    }

    private var elements: [Breakpoint] = []

    /// Makes a heap of breakpoints in any order. O(count).
    package init(_ breakpoints: [Breakpoint]) {
        elements = breakpoints
        var index = elements.count / 2 - 1
        while index >= 0 {
            sink(index)
            index -= 1
        }
    }

    /// The nearest breakpoint.
    package var nearest: Breakpoint? { elements.first }

    /// Removes the nearest breakpoint. O(log count).
    package mutating func removeNearest() {
        guard let last = elements.popLast(), !elements.isEmpty else { return }
        elements[0] = last
        sink(0)
    }

    private mutating func sink(_ start: Int) {
        var parent = start
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < elements.count && elements[child] < elements[least] {
                least = child
            }
            guard least != parent else { return }
            elements.swapAt(parent, least)
            parent = least
        }
    }
}
