internal import struct Foundation.Date
internal import Glibc
@_exported public import Logging

// Logging's Logger is part of this module's own vocabulary: whoever imports Telemetry can log.

/// How a line of the log looks.
public enum LogForm: Equatable, Sendable {
    /// `<6>message key=value`: systemd's priority prefix, and no time, since the journal keeps it.
    case journal
    /// As `.journal`, with the time after the prefix; for files and pipes.
    case stamped
    /// Time, level, message and keys for a person to read.
    case terminal(colour: Bool)

    /// Prints one message in this form, for what is said before or instead of a log.
    public func print(_ message: String, level: Logger.Level) {
        let line = LineLogHandler.line(
            level: level, message: message, metadata: [:], label: nil, form: self, now: Date())
        LineLogHandler.write(line)
    }

    /// What fits the standard error stream as the process was given it.
    public static func fittingStandardError(environment: [String: String]) -> LogForm {
        if standardErrorIsJournal(environment["JOURNAL_STREAM"]) { return .journal }
        guard isatty(STDERR_FILENO) == 1 else { return .stamped }
        let plain = environment["NO_COLOR"].map { !$0.isEmpty } ?? false
        return .terminal(colour: !plain && environment["TERM"] != "dumb")
    }

    /// systemd.exec(5): JOURNAL_STREAM is `device:inode` of the stream to the journal; a child may
    /// inherit the variable with its error stream pointed elsewhere, so compare.
    private static func standardErrorIsJournal(_ stream: String?) -> Bool {
        guard let stream else { return false }
        var status = stat()
        // Sound: fstat(2) writes one struct stat, which is what it is given.
        guard unsafe fstat(STDERR_FILENO, &status) == 0 else { return false }
        return stream == "\(status.st_dev):\(status.st_ino)"
    }
}

/// Sets up logging for the process.
public enum LogSetup {
    /// Once, at start-up, before the first Logger is made.
    public static func bootstrap(level: Logger.Level, form: LogForm) {
        LoggingSystem.bootstrap { label in
            LineLogHandler(label: label, level: level, form: form)
        }
    }
}
