/// A metric that a registry renders: as one sample, or as several for a histogram.
protocol Instrument: AnyObject, Sendable {
    /// The type of its family in the `# TYPE` line.
    static var kind: InstrumentKind { get }

    func render(into text: inout PrometheusText, family: String, labels: [(String, String)])
}

enum InstrumentKind: String {
    case counter
    case gauge
    case histogram
}
