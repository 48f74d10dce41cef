internal import ArgumentParser
internal import Foundation
internal import SQLiteStore
internal import Sessions
internal import Telemetry

struct StandbyCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "standby",
        abstract: "Follow a primary: keep a copy of its store that can take its place.",
        discussion: """
            Copies the store of the daemon at URL to the data directory, and then each of its \
            commits. What is there is at each moment one consistent state that `lbfgsd promote` \
            makes a store of its own; a copy that is being made anew does not touch it. The \
            primary's setting replication must not be off. The two have to be of one version.

            It runs until it is stopped, which may be at any moment, and goes on where it was. \
            Status 74 means that the data directory can't be used or holds a store that follows \
            nobody, 75 that a process has it open.
            """)

    @Option(
        help: ArgumentHelp("The primary's URL, such as http://10.0.0.1:8080.", valueName: "url"))
    var from: String

    @OptionGroup
    var options: ConfigurationOptions

    func run() throws {
        let manager = ServiceManager.adopt(environment: ProcessInfo.processInfo.environment)
        do throws(CommandFailure) {
            try follow(manager)
        } catch {
            throw error.report()
        }
    }

    private func follow(_ manager: ServiceManager) throws(CommandFailure) {
        let environment = ProcessInfo.processInfo.environment
        let settings = try options.resolve(environment: environment).settings
        guard case .directory(let path) = settings.data else {
            throw CommandFailure(.usage, "data :memory: can't follow a primary")
        }
        try settings.data.check()
        LogSetup.bootstrap(
            level: settings.logLevel.level,
            format: settings.logFormat.resolved(environment: environment))
        let url = try PrimaryClient.base(from)
        let client = try PrimaryClient(url, tokenFile: settings.primaryTokenFile)
        let standby = try StandbyOpening.open(path, following: url)
        manager.notify(.ready(status: "Following \(url)"))
        try FollowLoop(
            standby: standby, client: client, url: url, path: path, manager: manager,
            log: Logger(label: "lbfgsd")
        ).run()
    }
}

enum StandbyOpening {
    static func open(_ path: String, following url: String?) throws(CommandFailure) -> Standby {
        do throws(StoreError) {
            return try Standby(path, following: url)
        } catch .exists {
            throw CommandFailure(
                .storage, "data \(path): holds no standby's copy",
                url == nil
                    ? "name the directory of an `lbfgsd standby`"
                    : "start with an empty directory, so that no store is overwritten")
        } catch {
            throw StoreOpening.failure(error, path: path)
        }
    }
}

/// Follows the primary until the process is stopped.
private struct FollowLoop {
    private static let waitSeconds = 3.0
    private static let pauseSeconds: UInt32 = 1
    private static let statusInterval = Duration.seconds(5)

    let standby: Standby
    let client: PrimaryClient
    let url: String
    let path: String
    let manager: ServiceManager
    let log: Logger

    func run() throws(CommandFailure) -> Never {
        standby.onCopy = { [log, url] in
            log.notice("copying the store", metadata: ["primary": "\(url)"])
        }
        standby.onDamage = { [log, url] count in
            log.warning(
                "the primary's store is damaged: it was copied as it is, see lbfgsd verify",
                metadata: ["primary": "\(url)", "vectors_and_payloads": "\(count)"])
        }
        var trouble: String? = "not yet"
        var statusAt: ContinuousClock.Instant?
        while true {
            do throws(StandbyError) {
                try standby.follow(client, waitSeconds: Self.waitSeconds)
                if trouble != nil {
                    log.notice("following", metadata: ["primary": "\(url)"])
                    trouble = nil
                }
                if statusAt.map({ ContinuousClock.now - $0 > Self.statusInterval }) ?? true {
                    manager.notify(.ready(status: status))
                    statusAt = .now
                }
            } catch {
                let what: String
                switch error {
                case .store(let error): throw StoreOpening.failure(error, path: path)
                case .outOfStep(let reason): what = reason
                case .primary(let error): what = error.description
                }
                if what != trouble {
                    log.warning(
                        "can't follow", metadata: ["primary": "\(url)", "reason": "\(what)"])
                    manager.notify(.ready(status: "Can't follow \(url): \(what)"))
                    trouble = what
                }
                sleep(Self.pauseSeconds)
            }
        }
    }

    private var status: String {
        guard let change = standby.progress.change else { return "Copying from \(url)" }
        return "Following \(url): change \(change), term \(standby.progress.term)"
    }
}
