internal import Synchronization

/// Hands out instruments by name and labels, and renders them all for a scraper.
///
/// Asking again for the same name and labels gives the same instrument, so callers may ask where
/// they need one; but asking takes a lock, so keep an instrument that is used often. A name belongs
/// to one kind of instrument, with one help text and, for histograms, one set of buckets: anything
/// else is a programmer's error and traps.
///
/// Labels come from a fixed, small set of values. One made from a session's or a client's name
/// would keep a line for each for ever.
public final class MetricsRegistry: Sendable {
    private struct Family {
        var help: String
        var kind: InstrumentKind
        /// By rendered labels, so that the order in which labels are named doesn't matter.
        var series: [String: (labels: [(String, String)], instrument: any Instrument)] = [:]
    }

    private struct State {
        var families: [String: Family] = [:]
        var collectors: [@Sendable () -> Void] = []
    }
    private let state = Mutex(State())

    /// Starts with the metrics of the process itself, under their conventional `process_` names.
    public init() {
        ProcessMetrics.register(in: self)
    }

    public func counter(_ name: String, help: String, labels: [(String, String)] = []) -> Counter {
        instrument(name, help: help, labels: labels) { Counter() }
    }

    public func gauge(_ name: String, help: String, labels: [(String, String)] = []) -> Gauge {
        instrument(name, help: help, labels: labels) { Gauge() }
    }

    /// `buckets` are inclusive upper bounds in rising order; `+Inf` is added.
    public func histogram(
        _ name: String, help: String, labels: [(String, String)] = [], buckets: [Double]
    ) -> Histogram {
        let histogram = instrument(name, help: help, labels: labels) { Histogram(bounds: buckets) }
        precondition(histogram.bounds == buckets, "\(name) already has other buckets")
        return histogram
    }

    /// A counter that somebody else keeps, read at each rendering; left out while it is nil.
    public func counter(
        _ name: String, help: String, reading: @escaping @Sendable () -> Double?
    ) {
        _ = instrument(name, help: help, labels: []) { Reading<CounterReading>(reading) }
    }

    /// A gauge that somebody else keeps, read at each rendering; left out while it is nil.
    public func gauge(
        _ name: String, help: String, reading: @escaping @Sendable () -> Double?
    ) {
        _ = instrument(name, help: help, labels: []) { Reading<GaugeReading>(reading) }
    }

    /// Calls `collect` before each rendering, to set gauges from what is cheap to look up.
    public func onRender(_ collect: @escaping @Sendable () -> Void) {
        state.withLock { $0.collectors.append(collect) }
    }

    /// Prometheus' text format 0.0.4, families in order of name, series in order of labels.
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
        precondition(PrometheusText.isName(name), "'\(name)' is no name for a metric")
        for (label, _) in labels {
            precondition(PrometheusText.isLabelName(label), "'\(label)' is no label's name")
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
                    preconditionFailure("\(name) already is read from elsewhere")
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
