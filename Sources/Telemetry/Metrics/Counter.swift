internal import Synchronization

/// Counts events. It never decreases. An increment is one atomic addition.
public final class Counter: Instrument {
    static let kind = InstrumentKind.counter

    private let count = Atomic<Int>(0)

    init() {}

    /// `amount` must not be negative. The count wraps at 2^63, which a scraper treats as a restart.
    public func increment(by amount: Int = 1) {
        precondition(amount >= 0, "a counter can't decrease, but was incremented by \(amount)")
        count.wrappingAdd(amount, ordering: .relaxed)
    }

    public var value: Int { count.load(ordering: .relaxed) }

    func render(into text: inout PrometheusText, family: String, labels: [(String, String)]) {
        text.sample(family, labels: labels, value: String(value))
    }
}
