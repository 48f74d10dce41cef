internal import Synchronization

/// A value that can increase and decrease.
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
