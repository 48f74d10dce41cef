internal import Glibc
package import Logging

package import struct Foundation.Date

/// Writes one line an event to the standard error stream, in a single write(2), so that lines of
/// several threads don't mix. Control characters are escaped: what a client sent can't forge a line
/// or drive a terminal.
package struct LineLogHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?

    private let label: String
    private let form: LogForm

    init(label: String, level: Logger.Level, form: LogForm) {
        self.label = label
        self.form = form
        logLevel = level
    }

    package subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    package func log(event: LogEvent) {
        var merged = metadata
        if let provided = metadataProvider?.get() { merged.merge(provided) { _, new in new } }
        if let own = event.metadata { merged.merge(own) { _, new in new } }
        if let error = event.error { merged["error"] = "\(error)" }
        let line = LineLogHandler.line(
            level: event.level, message: event.message.description, metadata: merged, label: label,
            form: form, now: Date())
        LineLogHandler.write(line)
    }

    package static func line(
        level: Logger.Level, message: String, metadata: Logger.Metadata, label: String?,
        form: LogForm, now: Date
    ) -> String {
        var line: String
        switch form {
        case .journal:
            line = "<\(level.syslogPriority)>\(LogText.escaped(message))"
        case .stamped:
            line = "<\(level.syslogPriority)>\(LogText.timestamp(now)) \(LogText.escaped(message))"
        case .terminal(let colour):
            let name = level.rawValue.uppercased()
            let padded = name + String(repeating: " ", count: max(0, 8 - name.count))
            let shown = colour ? level.colour + padded + "\u{1B}[0m" : padded
            line = "\(LogText.clock(now)) \(shown) \(LogText.escaped(message))"
        }
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            line += " \(LogText.key(key))=\(LogText.value("\(value)"))"
        }
        if let label { line += " log=\(LogText.value(label))" }
        return line + "\n"
    }

    /// A log that can't be written is no reason to stop: errors other than an interruption are
    /// dropped, and so is the rest of the line.
    static func write(_ line: String) {
        var bytes = ArraySlice(line.utf8)
        while !bytes.isEmpty {
            // Sound: the pointer and the count are of one live buffer, which write(2) only reads.
            let written = unsafe bytes.withUnsafeBytes { buffer in
                unsafe Glibc.write(STDERR_FILENO, buffer.baseAddress, buffer.count)
            }
            if written > 0 {
                bytes = bytes.dropFirst(written)
            } else if errno != EINTR {
                return
            }
        }
    }
}

extension Logger.Level {
    /// syslog(3)'s priorities, which the journal reads from the `<N>` at the line's start.
    var syslogPriority: Int {
        switch self {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }

    fileprivate var colour: String {
        switch self {
        case .trace, .debug: "\u{1B}[2m"
        case .info: "\u{1B}[32m"
        case .notice: "\u{1B}[36m"
        case .warning: "\u{1B}[33m"
        case .error: "\u{1B}[31m"
        case .critical: "\u{1B}[1;31m"
        }
    }
}
