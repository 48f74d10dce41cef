/// The trials of a line search that may still be accepted, by number: the best one and the ends of
/// an interval, as far as a search knows them. A number may stand in it twice.
package struct RetainedTrials: Sequence {
    /// The trial of the lowest loss.
    var best: Int?
    /// The ends of the interval.
    var first: Int?
    var second: Int?

    package init(best: Int? = nil, first: Int? = nil, second: Int? = nil) {
        (self.best, self.first, self.second) = (best, first, second)
    }

    package func contains(_ trial: Int) -> Bool {
        trial == best || trial == first || trial == second
    }

    package func makeIterator() -> some IteratorProtocol<Int> {
        [best, first, second].lazy.compactMap(\.self).makeIterator()
    }
}
