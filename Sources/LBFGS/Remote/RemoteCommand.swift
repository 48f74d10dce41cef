/// What every worker has to do to its slices before the next evaluation, in the order of the
/// properties. All workers execute the same commands in the order of their numbers.
///
/// A worker holds slices of x, of d, of the gradient g at x, of the gradient h where the line
/// began, of the pairs (s_i, y_i), oldest first, and, by step length, of the gradients of trials of
/// the line. It also keeps the step length t of its last move.
public struct RemoteCommand: Equatable, Sendable, Codable {
    /// The coefficients of a direction: d = gradient g + sum_i steps[i] s_i + changes[i] y_i. The
    /// products are added to gradient g one pair after the other, s before y, in Float64, and
    /// rounded once.
    public struct Coefficients: Equatable, Sendable, Codable {
        /// The coefficient of g.
        public var gradient: Double
        /// Those of the s_i; one for each pair.
        public var steps: [Double]
        /// Those of the y_i; one for each pair.
        public var changes: [Double]
    }

    /// 1, 2, 3 ... over the optimizer's life.
    public var number: Int
    /// Keep a copy of a point as the step's best, in the place of any other: x + t d, and x for 0.
    public var save: Double?
    /// Move: x = x + t d. g becomes the gradient that was evaluated at that step length; if there
    /// is none it stays. 0 moves nothing: g becomes the gradient of the evaluation at x. Other
    /// gradients of trials are not needed any more.
    public var accept: Double?
    /// Move back to the point that was saved. g is then unknown.
    public var restore = false
    /// Drop all pairs.
    public var clear = false
    /// Append the pair s = t d, y = g - h, with the t of the last move.
    public var push = false
    /// Drop the oldest pair; it goes when a pair is appended.
    public var drop = false
    /// Make a direction, and let h = g. Without it d stays.
    public var coefficients: Coefficients?
    /// Move along the new direction without an evaluation: x = x + t d. g stays that of the start.
    public var move: Double?
    /// Evaluate the loss and its gradient at x + t d, with the dot products (``RemoteGradient``);
    /// 0 means at x. nil: nothing is to be evaluated, as the step is over.
    public var stepLength: Double?
    /// The step lengths of the trials of the line whose gradients have to be kept, beside the one
    /// that is evaluated now.
    public var retain: [Double] = []

    init(number: Int) { self.number = number }
}
