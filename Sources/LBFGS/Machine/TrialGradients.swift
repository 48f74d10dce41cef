/// The gradients of the trials that are retained, by number: a few, so that a search through all
/// costs less than hashing.
struct TrialGradients<Gradient: Equatable & Sendable>: Sendable, Equatable, Sequence {
    typealias Element = (trial: Int, gradient: Gradient)

    private var elements: [Element] = []

    subscript(trial: Int) -> Gradient? {
        elements.first { $0.trial == trial }?.gradient
    }

    /// Adds the gradient of a trial that has none yet.
    mutating func add(_ gradient: Gradient, ofTrial trial: Int) {
        elements.append((trial, gradient))
    }

    /// Forgets the gradients of all other trials.
    mutating func keep(_ retained: RetainedTrials) {
        elements.removeAll { !retained.contains($0.trial) }
    }

    mutating func removeAll() {
        elements.removeAll(keepingCapacity: true)
    }

    func makeIterator() -> some IteratorProtocol<Element> {
        elements.makeIterator()
    }

    static func == (left: Self, right: Self) -> Bool {
        left.elements.count == right.elements.count
            && left.elements.allSatisfy { right[$0.trial] == $0.gradient }
    }
}
