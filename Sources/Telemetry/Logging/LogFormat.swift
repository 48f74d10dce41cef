internal import struct Foundation.Date
internal import Glibc
@_exported public import Logging

// Logging is re-exported: modules that import Telemetry can use its Logger.

/// The format of a log line.
public enum LogFormat: Equatable, Sendable {
    /// `<6>message key=value`: systemd's priority prefix, without a time, which the journal adds.
    case journal
    /// Like `.journal`, with the time after the prefix. For files and pipes.
    case timestamped
    /// Time, level, message and keys, for human readers.
    case terminal(colour: Bool)
    /// One JSON object: time, level, label, message and metadata. For collectors of logs.
    case json

    /// Prints one message in this format, before logging is set up or instead of it.
    public func print(_ message: String, level: Logger.Level) {
        let line = LineLogHandler.line(
            level: level, message: message, metadata: [:], label: nil, format: self, now: Date())
        LineLogHandler.write(line)
    }

    /// The format that suits the process's standard error stream.
    public static func forStandardError(environment: [String: String]) -> LogFormat {
        if standardErrorIsJournal(environment["JOURNAL_STREAM"]) { return .journal }
        guard isatty(STDERR_FILENO) == 1 else { return .timestamped }
        let isColourDisabled = environment["NO_COLOR"].map { !$0.isEmpty } ?? false
        return .terminal(colour: !isColourDisabled && environment["TERM"] != "dumb")
    }

    /// JOURNAL_STREAM is the `device:inode` of the stream to the journal (systemd.exec(5)). It is
    /// compared, because a child process can inherit the variable with another error stream.
    private static func standardErrorIsJournal(_ stream: String?) -> Bool {
        guard let stream else { return false }
        var status = stat()
        // Sound: fstat(2) fills in one struct stat.
        guard unsafe fstat(STDERR_FILENO, &status) == 0 else { return false }
        return stream == "\(status.st_dev):\(status.st_ino)"
    }
}

/// Sets up logging for the process.
public enum LogSetup {
    /// Must be called once, before the first Logger is created.
    ///
    /// - Parameter context: What is known about the task that logs, such as its request. Added to
    ///   the metadata of each line.
    public static func bootstrap(
        level: Logger.Level, format: LogFormat,
        context: @escaping @Sendable () -> Logger.Metadata = { [:] }
    ) {
        LoggingSystem.bootstrap(
            { label, provider in
                var handler = LineLogHandler(label: label, level: level, format: format)
                handler.metadataProvider = provider
                return handler
            }, metadataProvider: Logger.MetadataProvider(context))
    }
}
