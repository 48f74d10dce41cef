internal import ArgumentParser
internal import Foundation
internal import SQLiteStore
internal import Sessions

struct BackupCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Back the data directory up; the daemon may run.",
        discussion: """
            Makes a backup in DIR, named by the time in UTC, and prints its path. It has all that \
            was acknowledged before the command began. While it is being made its name ends in \
            .partial. Everything in it is read back and verified before it gets its name. Long \
            vectors that the newest backup in DIR has are shared with it by hard links, so \
            DIR should be used for one data directory only.

            Run it as root or as the user whose files they are. `lbfgsd restore` makes a data \
            directory of a backup. Status 74 means that something can't be read or written or is \
            damaged.
            """)

    @Argument(help: "Directory of backups; it is created if it is missing.")
    var directory: String

    @OptionGroup
    var options: ConfigurationOptions

    func run() throws {
        do throws(CommandFailure) {
            try backUp()
        } catch {
            throw error.report()
        }
    }

    private func backUp() throws(CommandFailure) {
        let settings = try options.resolve(environment: ProcessInfo.processInfo.environment)
            .settings
        guard case .directory(let path) = settings.data else {
            throw CommandFailure(.usage, "data :memory: has nothing on disk to back up")
        }
        let files = FileManager.default
        if !files.fileExists(atPath: directory) {
            do {
                try files.createDirectory(
                    atPath: directory, withIntermediateDirectories: false,
                    attributes: [.posixPermissions: 0o700])
            } catch {
                throw CommandFailure(
                    .storage, "\(directory): can't be made: \(FileErrorText.text(error))")
            }
        }
        let target = directory + "/" + BackupName.text(Date())
        let report: BackupReport
        do throws(StoreError) {
            report = try StoreBackup.make(
                of: path, as: target, sharingWith: BackupName.newest(in: directory))
        } catch {
            throw StoreOpening.failure(error, path: path)
        }
        print(target)
        print("sessions \(report.sessions)")
        print(
            "segments \(report.segmentsCopied) copied, \(report.segmentsShared) shared, "
                + "\(report.bytesCopied) bytes copied")
    }
}

struct RestoreCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Make a data directory of a backup.",
        discussion: """
            Verifies the backup and copies it to the data directory, which must be missing or \
            empty. The backup stays as it is. If this is interrupted, no daemon starts on the \
            directory until it was repeated.

            Run by root, it gives the files to the owner of the data directory. Status 74 means \
            that something can't be read or written, that the backup is damaged, or that the \
            data directory is not empty.
            """)

    @Argument(help: "A backup, as `lbfgsd backup` has printed its path.")
    var backup: String

    @OptionGroup
    var options: ConfigurationOptions

    func run() throws {
        do throws(CommandFailure) {
            try restore()
        } catch {
            throw error.report()
        }
    }

    private func restore() throws(CommandFailure) {
        let settings = try options.resolve(environment: ProcessInfo.processInfo.environment)
            .settings
        guard case .directory(let path) = settings.data else {
            throw CommandFailure(.usage, "data :memory: is no directory")
        }
        try settings.data.check()
        let report: BackupReport
        do throws(StoreError) {
            report = try StoreBackup.restore(backup, to: path)
        } catch .exists {
            throw CommandFailure(
                .storage, "data \(path): is not empty", "move what is there to another place first")
        } catch {
            throw StoreOpening.failure(error, path: path)
        }
        print("sessions \(report.sessions)")
    }
}

/// Names of backups, whose order is that of their times.
private enum BackupName {
    static func text(_ time: Date) -> String {
        let parts = Calendar(identifier: .gregorian)
            .dateComponents(in: .gmt, from: time)
        let numbers = [
            parts.year, parts.month, parts.day, parts.hour, parts.minute, parts.second,
        ].map { $0 ?? 0 }
        let texts = numbers.map { $0 < 10 ? "0\($0)" : "\($0)" }
        let thousandths = String((parts.nanosecond ?? 0) / 1_000_000 + 1000).dropFirst()
        return texts[0..<3].joined(separator: "-") + "T" + texts[3...].joined() + ".\(thousandths)Z"
    }

    /// The newest complete backup in a directory.
    static func newest(in directory: String) -> String? {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        return names.filter { $0.hasSuffix("Z") && $0.contains("T") }.max()
            .map { directory + "/" + $0 }
    }
}
