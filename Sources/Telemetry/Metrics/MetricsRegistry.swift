internal import Synchronization

/// Creates instruments by name and labels, and renders all of them for a scraper.
///
/// The same name and labels return the same instrument, so callers can ask for one where they need
/// it. Asking takes a lock, so an instrument that is used often should be kept. A name has one kind
/// of instrument, one help text and, for histograms, one set of bounds; anything else is a
/// programming error and traps.
///
/// A label must have few possible values: each value adds a line that is never removed. The name of
/// a session or client is not suitable.
public final class MetricsRegistry: Sendable {
    private struct Family {
        var help: String
        var kind: InstrumentKind
        /// The key is the rendered labels, sorted, so that the order of arguments doesn't matter.
        var series: [String: (labels: [(String, String)], instrument: any Instrument)] = [:]
    }

    private struct State {
        var families: [String: Family] = [:]
        var collectors: [@Sendable () -> Void] = []
    }
    private let state = Mutex(State())

    /// The registry contains the metrics of the process, with their conventional `process_` names.
    public init() {
        ProcessMetrics.register(in: self)
    }

    public func counter(_ name: String, help: String, labels: [(String, String)] = []) -> Counter {
        instrument(name, help: help, labels: labels) { Counter() }
    }

    public func gauge(_ name: String, help: String, labels: [(String, String)] = []) -> Gauge {
        instrument(name, help: help, labels: labels) { Gauge() }
    }

    /// `buckets` are inclusive upper bounds in increasing order. `+Inf` is added.
    public func histogram(
        _ name: String, help: String, labels: [(String, String)] = [], buckets: [Double]
    ) -> Histogram {
        let histogram = instrument(name, help: help, labels: labels) { Histogram(bounds: buckets) }
        precondition(histogram.bounds == buckets, "\(name) already has other buckets")
        return histogram
    }

    /// A counter that is maintained elsewhere and read at each rendering; omitted while it is nil.
    public func counter(
        _ name: String, help: String, reading: @escaping @Sendable () -> Double?
    ) {
        _ = instrument(name, help: help, labels: []) {
            CallbackInstrument<CallbackCounter>(reading)
        }
    }

    /// A gauge that is maintained elsewhere and read at each rendering; omitted while it is nil.
    public func gauge(
        _ name: String, help: String, reading: @escaping @Sendable () -> Double?
    ) {
        _ = instrument(name, help: help, labels: []) { CallbackInstrument<CallbackGauge>(reading) }
    }

    /// Calls `collect` before each rendering, to set gauges from values that are cheap to read.
    public func onRender(_ collect: @escaping @Sendable () -> Void) {
        state.withLock { $0.collectors.append(collect) }
    }

    /// All metrics in Prometheus' text format 0.0.4, sorted by name and labels.
    public func render() -> String {
        let collectors = state.withLock { $0.collectors }
        for collect in collectors { collect() }
        let families = state.withLock { $0.families }
        var text = PrometheusText()
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            text.family(name, help: family.help, kind: family.kind)
            for (_, series) in family.series.sorted(by: { $0.key < $1.key }) {
                series.instrument.render(into: &text, family: name, labels: series.labels)
            }
        }
        return text.text
    }

    private func instrument<Made: Instrument>(
        _ name: String, help: String, labels: [(String, String)], make: () -> Made
    ) -> Made {
        precondition(PrometheusText.isName(name), "'\(name)' is not a valid name for a metric")
        for (label, _) in labels {
            precondition(
                PrometheusText.isLabelName(label), "'\(label)' is not a valid name for a label")
        }
        let sorted = labels.sorted { $0.0 < $1.0 }
        var rendered = PrometheusText()
        rendered.sample("", labels: sorted, value: "")
        return state.withLock { state in
            var family = state.families[name] ?? Family(help: help, kind: Made.kind)
            precondition(family.kind == Made.kind, "\(name) already is a \(family.kind)")
            precondition(family.help == help, "\(name) already has another help text")
            if let known = family.series[rendered.text] {
                guard let known = known.instrument as? Made else {
                    preconditionFailure("\(name) already is an instrument with a callback")
                }
                return known
            }
            let made = make()
            family.series[rendered.text] = (sorted, made)
            state.families[name] = family
            return made
        }
    }
}
