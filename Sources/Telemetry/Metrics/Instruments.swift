internal import Synchronization

/// Something that a registry renders: one line, or a histogram's several.
protocol Instrument: AnyObject, Sendable {
    /// What `# TYPE` says of its family.
    static var kind: InstrumentKind { get }

    func render(into text: inout PrometheusText, family: String, labels: [(String, String)])
}

enum InstrumentKind: String {
    case counter
    case gauge
    case histogram
}

/// Counts events; only ever rises. Increments are one atomic addition.
public final class Counter: Instrument {
    static let kind = InstrumentKind.counter

    private let count = Atomic<Int>(0)

    init() {}

    /// `amount` must not be negative. Past 2^63 the count wraps; a scraper takes it for a restart.
    public func increment(by amount: Int = 1) {
        precondition(amount >= 0, "a counter can't fall, but was to be incremented by \(amount)")
        count.wrappingAdd(amount, ordering: .relaxed)
    }

    public var value: Int { count.load(ordering: .relaxed) }

    func render(into text: inout PrometheusText, family: String, labels: [(String, String)]) {
        text.sample(family, labels: labels, value: String(value))
    }
}

/// A value that rises and falls.
public final class Gauge: Instrument {
    static let kind = InstrumentKind.gauge

    private let bits = Atomic<UInt64>(0)

    init() {}

    public func set(_ value: Double) {
        bits.store(value.bitPattern, ordering: .relaxed)
    }

    public func add(_ amount: Double) {
        var seen = bits.load(ordering: .relaxed)
        while true {
            let sum = Double(bitPattern: seen) + amount
            let (exchanged, original) = bits.weakCompareExchange(
                expected: seen, desired: sum.bitPattern, ordering: .relaxed)
            if exchanged { return }
            seen = original
        }
    }

    public var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }

    func render(into text: inout PrometheusText, family: String, labels: [(String, String)]) {
        text.sample(family, labels: labels, value: PrometheusText.number(value))
    }
}

/// Counts observations by size. An observation takes one uncontended lock and a binary search.
public final class Histogram: Instrument {
    static let kind = InstrumentKind.histogram

    /// Inclusive upper bounds, rising; what lies above the last is counted in `+Inf` alone.
    let bounds: [Double]

    private struct State {
        /// One a bound, and one for all above; not cumulative.
        var counts: [Int]
        var sum = 0.0
    }
    private let state: Mutex<State>

    init(bounds: [Double]) {
        precondition(
            zip(bounds, bounds.dropFirst()).allSatisfy(<) && bounds.allSatisfy(\.isFinite),
            "a histogram's buckets must be finite and rise: \(bounds)")
        self.bounds = bounds
        state = Mutex(State(counts: Array(repeating: 0, count: bounds.count + 1)))
    }

    /// A NaN is counted above all bounds, so that it shows.
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

/// A value that is read when it is rendered; for what the kernel counts.
final class Reading<Kind: ReadingKind>: Instrument {
    static var kind: InstrumentKind { Kind.kind }

    private let read: @Sendable () -> Double?

    init(_ read: @escaping @Sendable () -> Double?) { self.read = read }

    /// Leaves the sample out when there is nothing to read.
    func render(into text: inout PrometheusText, family: String, labels: [(String, String)]) {
        guard let value = read() else { return }
        text.sample(family, labels: labels, value: PrometheusText.number(value))
    }
}

protocol ReadingKind { static var kind: InstrumentKind { get } }
enum CounterReading: ReadingKind { static let kind = InstrumentKind.counter }
enum GaugeReading: ReadingKind { static let kind = InstrumentKind.gauge }
