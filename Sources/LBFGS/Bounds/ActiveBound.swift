/// A bound at which a parameter is.
public struct ActiveBound: Equatable, Sendable {
    /// Which bound.
    public enum Side: String, Equatable, Sendable, CaseIterable {
        /// The lower bound.
        case lower
        /// The upper bound.
        case upper
        /// Both, because they are equal: the parameter is fixed.
        case fixed
    }

    /// The parameter's index.
    public var index: Int
    /// The bound that it is at.
    public var side: Side
    /// The multiplier of the bound: the gradient there, which is positive at a lower bound that
    /// keeps the loss from decreasing, and negative at such an upper bound. nil where the gradient
    /// is not known.
    public var multiplier: Double?

    /// A bound that is active.
    public init(index: Int, side: Side, multiplier: Double?) {
        (self.index, self.side, self.multiplier) = (index, side, multiplier)
    }
}
