/// A metric whose value is read by a closure when it is rendered, such as a kernel counter.
final class CallbackInstrument<Kind: CallbackKind>: Instrument {
    static var kind: InstrumentKind { Kind.kind }

    private let read: @Sendable () -> Double?

    init(_ read: @escaping @Sendable () -> Double?) { self.read = read }

    /// Omits the sample if the closure returns nil.
    func render(into text: inout PrometheusText, family: String, labels: [(String, String)]) {
        guard let value = read() else { return }
        text.sample(family, labels: labels, value: PrometheusText.number(value))
    }
}

protocol CallbackKind { static var kind: InstrumentKind { get } }
enum CallbackCounter: CallbackKind { static let kind = InstrumentKind.counter }
enum CallbackGauge: CallbackKind { static let kind = InstrumentKind.gauge }
