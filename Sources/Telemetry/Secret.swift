/// Text that must not be shown. Printing, logging, dumping or interpolating it shows `[redacted]`.
/// Only `reveal()` returns the text, and its calls are easy to search for.
public struct Secret: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible,
    CustomReflectable
{
    private let text: String

    public init(_ text: String) { self.text = text }

    /// The text itself. Never pass it to a log, an error or a metric.
    public func reveal() -> String { text }

    public var description: String { "[redacted]" }
    public var debugDescription: String { "[redacted]" }
    public var customMirror: Mirror { Mirror(self, children: [:]) }
}
