internal import ArgumentParser
internal import Foundation
internal import Telemetry

/// What the command's exit status means, after sysexits(3).
enum ExitStatus: Int32 {
    /// The hard deadline for shutting down passed, or storage failed while running.
    case failure = 1
    /// A session waits for no evaluation: its last step has ended for good.
    case ended = 3
    /// The command line is wrong.
    case usage = 64
    /// The address can't be listened on.
    case unavailable = 69
    /// The data directory can't be read or written, or what it holds is damaged.
    case storage = 74
    /// Another process has the data directory open: try again when it has ended.
    case temporary = 75
    /// The configuration file, the environment or the token file is wrong.
    case configuration = 78
}

/// Ends the command with a message and a status.
struct CommandFailure: Error {
    var status: ExitStatus
    /// What happened, to what, and what to do, a line each.
    var messages: [String]

    init(_ status: ExitStatus, _ messages: String...) {
        self.status = status
        self.messages = messages
    }

    init(_ status: ExitStatus, _ messages: [String]) {
        self.status = status
        self.messages = messages
    }

    /// Prints the messages and gives the status to exit with.
    func report() -> ExitCode {
        for message in messages { StandardError.print(message, level: .error) }
        return ExitCode(status.rawValue)
    }
}

/// Messages of the command itself, outside the log: prefixed with its name, as other commands print
/// them, or with their priority for the journal.
enum StandardError {
    static func print(_ message: String, level: Logger.Level) {
        let environment = ProcessInfo.processInfo.environment
        if LogFormat.forStandardError(environment: environment) == .journal {
            LogFormat.journal.print(message, level: level)
            return
        }
        let prefix = level == .warning ? "lbfgsd: warning: " : "lbfgsd: "
        FileHandle.standardError.write(Data((prefix + message + "\n").utf8))
    }
}
