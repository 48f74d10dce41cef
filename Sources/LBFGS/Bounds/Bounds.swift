/// Lower and upper bounds of parameters: l <= x <= u.
///
/// A parameter without a bound has an infinite one. Bounds that are equal fix a parameter. A bound
/// that is the same for all parameters takes no memory.
public struct Bounds<Scalar: EngineScalar>: Equatable, Sendable {
    /// The lower bounds; `none` if all are -infinity.
    public let lower: ParameterValues<Scalar>
    /// The upper bounds; `none` if all are infinity.
    public let upper: ParameterValues<Scalar>

    /// No bounds.
    public static var none: Bounds { Bounds() }

    private init() { (lower, upper) = (.none, .none) }

    /// Creates bounds from numbers of Float64, which are rounded inwards: a lower bound up and an
    /// upper bound down, so that a point within the rounded bounds is within the given ones. O(n).
    /// - Parameters:
    ///   - lower: One number for all parameters, or n numbers; -infinity means none.
    ///   - upper: Likewise; infinity means none.
    ///   - count: n, the number of parameters.
    /// - Throws: The first number that is wrong, and its index.
    public init(
        lower: ParameterValues<Double>, upper: ParameterValues<Double>, count: Int
    ) throws(BoundsError) {
        for (field, values) in [(BoundsError.Field.lower, lower), (.upper, upper)] {
            guard let got = values.count, got != count else { continue }
            throw .wrongCount(field, expected: count, got: got)
        }
        let low = try lower.map { (index, value) throws(BoundsError) -> Scalar in
            guard !value.isNaN else { throw .notANumber(.lower, index: index) }
            let rounded = Bounds.roundedUp(value)
            guard rounded < .infinity else {
                throw .infinite(.lower, index: index, value: value)
            }
            return rounded
        }
        let high = try upper.map { (index, value) throws(BoundsError) -> Scalar in
            guard !value.isNaN else { throw .notANumber(.upper, index: index) }
            let rounded = -Bounds.roundedUp(-value)
            guard rounded > -.infinity else {
                throw .infinite(.upper, index: index, value: value)
            }
            return rounded
        }
        self.lower = low.withoutAll(-.infinity)
        self.upper = high.withoutAll(.infinity)
        let areUniform = lower.count == nil && upper.count == nil
        for index in 0..<(areUniform ? 1 : count) {
            guard let least = self.lower[index], let most = self.upper[index],
                least > most
            else { continue }
            let given = (lower[index] ?? -.infinity, upper[index] ?? .infinity)
            let index = areUniform ? nil : index
            throw given.0 > given.1
                ? .lowerAboveUpper(index: index, lower: given.0, upper: given.1)
                : .nothingBetween(index: index, lower: given.0, upper: given.1)
        }
    }

    /// Bounds whose numbers were checked before, for example those of a snapshot.
    init(unchecked lower: ParameterValues<Scalar>, _ upper: ParameterValues<Scalar>) {
        (self.lower, self.upper) = (lower, upper)
    }

    /// The least number of this precision that is not below `value`. O(1).
    private static func roundedUp(_ value: Double) -> Scalar {
        let nearest = Scalar(value)
        return Double(nearest) < value ? nearest.nextUp : nearest
    }

    /// Whether no parameter has a bound. O(1).
    public var isEmpty: Bool { lower == .none && upper == .none }

    /// The lower bound of a parameter; -infinity if it has none. O(1).
    public func lower(at index: Int) -> Scalar { lower[index] ?? -.infinity }

    /// The upper bound of a parameter; infinity if it has none. O(1).
    public func upper(at index: Int) -> Scalar { upper[index] ?? .infinity }

    /// The nearest number to `value` that is within a parameter's bounds. At a bound it is the
    /// bound, with the same bits. O(1).
    public func projected(_ value: Scalar, at index: Int) -> Scalar {
        let (least, most) = (lower(at: index), upper(at: index))
        if value <= least { return least }
        return value >= most ? most : value
    }

    /// The nearest point to `point` within the bounds, and how many numbers differ from it. O(n).
    public func projected(_ point: [Scalar]) -> (point: [Scalar], moved: Int) {
        guard !isEmpty else { return (point, 0) }
        var (projected, moved) = (point, 0)
        for index in point.indices {
            let value = self.projected(point[index], at: index)
            if value != point[index] { moved += 1 }
            projected[index] = value
        }
        return (projected, moved)
    }

    /// The bounds of `counts.0` parameters followed by those of `counts.1` others. O(n).
    func appending(_ next: Bounds, counts: (Int, Int)) -> Bounds {
        Bounds(
            unchecked: lower.appending(next.lower, counts: counts, missing: -.infinity),
            upper.appending(next.upper, counts: counts, missing: .infinity))
    }

    /// Checks that a vector of bounds has a number for each of `count` parameters. O(1).
    func check(count: Int) throws(BoundsError) {
        for (field, values) in [(BoundsError.Field.lower, lower), (.upper, upper)] {
            guard let got = values.count, got != count else { continue }
            throw .wrongCount(field, expected: count, got: got)
        }
    }
}
