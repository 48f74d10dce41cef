/// One number for each parameter, in as little memory as they need.
public enum ParameterValues<Scalar: EngineScalar>: Equatable, Sendable {
    /// No parameter has one.
    case none
    /// All parameters have the same.
    case uniform(Scalar)
    /// n numbers in the order of the parameters.
    case each([Scalar])

    /// The number of a parameter; nil if there is none. O(1).
    public subscript(index: Int) -> Scalar? {
        switch self {
        case .none: nil
        case .uniform(let value): value
        case .each(let values): values[index]
        }
    }

    /// The count of the numbers, if there is one for each parameter.
    public var count: Int? {
        if case .each(let values) = self { values.count } else { nil }
    }

    /// The numbers converted to another precision by `convert`, which also gets the index: nil for
    /// a number that stands for all. O(n).
    func map<Other: EngineScalar, Failure: Error>(
        _ convert: (Int?, Scalar) throws(Failure) -> Other
    ) throws(Failure) -> ParameterValues<Other> {
        switch self {
        case .none:
            return .none
        case .uniform(let value):
            return .uniform(try convert(nil, value))
        case .each(let values):
            var converted: [Other] = []
            converted.reserveCapacity(values.count)
            for (index, value) in values.enumerated() {
                converted.append(try convert(index, value))
            }
            return .each(converted)
        }
    }

    /// None if all numbers are `value`, which means that there is none. O(n).
    func withoutAll(_ value: Scalar) -> ParameterValues {
        switch self {
        case .none: .none
        case .uniform(let one): one == value ? .none : self
        case .each(let values): values.allSatisfy { $0 == value } ? .none : self
        }
    }

    /// The numbers of `count` parameters followed by those of others. O(n).
    /// - Parameters:
    ///   - next: The numbers of the parameters that join.
    ///   - counts: How many parameters there are, and how many join.
    ///   - missing: The number of a parameter that has none.
    func appending(
        _ next: ParameterValues, counts: (Int, Int), missing: Scalar
    ) -> ParameterValues {
        switch (self, next) {
        case (.none, .none): return .none
        case (.uniform(let one), .uniform(let other)) where one == other: return self
        default: break
        }
        return .each(filled(counts.0, missing) + next.filled(counts.1, missing))
    }

    private func filled(_ count: Int, _ missing: Scalar) -> [Scalar] {
        switch self {
        case .none: [Scalar](repeating: missing, count: count)
        case .uniform(let value): [Scalar](repeating: value, count: count)
        case .each(let values): values
        }
    }
}
