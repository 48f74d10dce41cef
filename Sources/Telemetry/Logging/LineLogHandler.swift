internal import Glibc
package import Logging

package import struct Foundation.Date

/// Writes each event as one line to the standard error stream, with one write(2), so that the lines
/// of several threads don't mix. Control characters are escaped, so that text from a client can't
/// forge a line or control a terminal.
package struct LineLogHandler: LogHandler {
    package var logLevel: Logger.Level
    package var metadata: Logger.Metadata = [:]
    package var metadataProvider: Logger.MetadataProvider?

    private let label: String
    private let format: LogFormat

    init(label: String, level: Logger.Level, format: LogFormat) {
        self.label = label
        self.format = format
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
            format: format, now: Date())
        LineLogHandler.write(line)
    }

    package static func line(
        level: Logger.Level, message: String, metadata: Logger.Metadata, label: String?,
        format: LogFormat, now: Date
    ) -> String {
        var line: String
        switch format {
        case .json:
            return jsonLine(
                level: level, message: message, metadata: metadata, label: label, now: now)
        case .journal:
            line = "<\(level.syslogPriority)>\(LogText.escaped(message))"
        case .timestamped:
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

    private static func jsonLine(
        level: Logger.Level, message: String, metadata: Logger.Metadata, label: String?, now: Date
    ) -> String {
        var line = "{\"time\":\(LogText.quoted(LogText.timestamp(now)))"
        line += ",\"level\":\(LogText.quoted(level.rawValue))"
        if let label { line += ",\"label\":\(LogText.quoted(label))" }
        line += ",\"message\":\(LogText.quoted(message)),\"metadata\":{"
        var separator = ""
        for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
            line += "\(separator)\(LogText.quoted(key)):\(LogText.quoted("\(value)"))"
            separator = ","
        }
        return line + "}}\n"
    }

    /// Errors other than an interruption are ignored, and the rest of the line is dropped: the
    /// daemon goes on without a log.
    static func write(_ line: String) {
        var bytes = ArraySlice(line.utf8)
        while !bytes.isEmpty {
            // Sound: pointer and count belong to one live buffer, which write(2) only reads.
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
    /// The priority of syslog(3), which the journal reads from the `<N>` at the start of a line.
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
