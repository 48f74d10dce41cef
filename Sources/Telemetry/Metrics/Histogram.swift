/// Counts observations by value, without a lock: an observation takes a binary search and two
/// atomic additions. A rendering may show one whose value is not in the sum yet.
public final class Histogram: Instrument {
    static let kind = InstrumentKind.histogram

    /// Inclusive upper bounds, increasing. A value above the last one counts only in `+Inf`.
    let bounds: [Double]

    /// One per bound, and one for larger values. Not cumulative.
    private let counts: [Counter]
    private let sum = Gauge()

    init(bounds: [Double]) {
        precondition(
            zip(bounds, bounds.dropFirst()).allSatisfy(<) && bounds.allSatisfy(\.isFinite),
            "a histogram's bounds must be finite and increasing: \(bounds)")
        self.bounds = bounds
        counts = (0...bounds.count).map { _ in Counter() }
    }

    /// A NaN counts in `+Inf`, so that it is visible.
    public func observe(_ value: Double) {
        counts[bucketIndex(of: value)].increment()
        sum.add(value)
    }

    public func observe(_ duration: Duration) { observe(duration / .seconds(1)) }

    private func bucketIndex(of value: Double) -> Int {
        guard !value.isNaN else { return bounds.count }
        var low = 0
        var high = bounds.count
        while low < high {
            let middle = (low + high) / 2
            if value <= bounds[middle] { high = middle } else { low = middle + 1 }
        }
        return low
    }

    func render(into text: inout PrometheusText, family: String, labels: [(String, String)]) {
        var total = 0
        for (bound, count) in zip(bounds + [.infinity], counts) {
            total += count.value
            text.sample(
                family + "_bucket", labels: labels + [("le", PrometheusText.number(bound))],
                value: String(total))
        }
        text.sample(family + "_sum", labels: labels, value: PrometheusText.number(sum.value))
        text.sample(family + "_count", labels: labels, value: String(total))
    }
}
