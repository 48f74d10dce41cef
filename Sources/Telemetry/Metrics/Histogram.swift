internal import Synchronization

/// Counts observations by value. An observation takes one uncontended lock and a binary search.
public final class Histogram: Instrument {
    static let kind = InstrumentKind.histogram

    /// Inclusive upper bounds, increasing. A value above the last one counts only in `+Inf`.
    let bounds: [Double]

    private struct State {
        /// One count per bound, and one for larger values. Not cumulative.
        var counts: [Int]
        var sum = 0.0
    }
    private let state: Mutex<State>

    init(bounds: [Double]) {
        precondition(
            zip(bounds, bounds.dropFirst()).allSatisfy(<) && bounds.allSatisfy(\.isFinite),
            "a histogram's bounds must be finite and increasing: \(bounds)")
        self.bounds = bounds
        state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    /// A NaN counts in `+Inf`, so that it is visible.
    public func observe(_ value: Double) {
        let bucket = bucketIndex(of: value)
        state.withLock { state in
            state.counts[bucket] += 1
            state.sum += value
        }
    }

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
        let (counts, sum) = state.withLock { ($0.counts, $0.sum) }
        var total = 0
        for (bound, count) in zip(bounds + [.infinity], counts) {
            total += count
            text.sample(
                family + "_bucket", labels: labels + [("le", PrometheusText.number(bound))],
                value: String(total))
        }
        text.sample(family + "_sum", labels: labels, value: PrometheusText.number(sum))
        text.sample(family + "_count", labels: labels, value: String(total))
    }
}
