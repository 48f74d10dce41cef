internal import ArgumentParser
internal import Foundation
internal import SQLiteStore
internal import Sessions
internal import Telemetry

struct PromoteCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "promote",
        abstract: "Make a standby's copy a store of its own; stop the standby first.",
        discussion: """
            Fences the primary first, if it can be reached: it takes no more writes, even after a \
            restart, and its last changes are taken over, so that nothing is lost. If it can't be \
            reached, the copy is promoted as it is: with synchronous replication that loses \
            nothing that was acknowledged; otherwise the last moments may be missing, and an old \
            primary that still runs elsewhere goes on acknowledging until it is fenced, which the \
            promoted daemon does as soon as it reaches it.

            Then start `lbfgsd serve` on the directory. Status 74 means that there is no complete \
            copy, 75 that the standby still runs.
            """)

    @Flag(help: "Do not ask the primary for its last changes, and do not fence it.")
    var withoutPrimary = false

    @OptionGroup
    var options: ConfigurationOptions

    func run() throws {
        do throws(CommandFailure) {
            try promote()
        } catch {
            throw error.report()
        }
    }

    private func promote() throws(CommandFailure) {
        let settings = try options.resolve(environment: ProcessInfo.processInfo.environment)
            .settings
        guard case .directory(let path) = settings.data else {
            throw CommandFailure(.usage, "data :memory: is no standby's copy")
        }
        let standby = try StandbyOpening.open(path, following: nil)
        guard standby.isUsable else {
            throw CommandFailure(
                .storage, "data \(path): its first copy of the primary was never completed")
        }
        var isFenced = false
        if !withoutPrimary, let url = standby.role.peer {
            let client = try PrimaryClient(url, tokenFile: settings.primaryTokenFile)
            isFenced = try takeOver(standby, from: client, url: url)
        }
        let progress = standby.progress
        do throws(StoreError) {
            try standby.promote(isPrimaryFenced: isFenced)
        } catch {
            throw StoreOpening.failure(error, path: path)
        }
        standby.close()
        print("term \(standby.role.term)")
        if let change = progress.change, let time = progress.changedAt {
            print("newest change \(change), made at \(time.formatted(.iso8601))")
        }
    }

    /// Fences the primary and takes its last changes. Returns false if it can't be reached.
    private func takeOver(
        _ standby: Standby, from client: PrimaryClient, url: String
    ) throws(CommandFailure) -> Bool {
        do throws(PrimaryError) {
            let before = try client.status()
            // Before it is fenced: a copy that needs to be made anew can't be promoted now.
            try catchUp(standby, with: client, to: before, url: url)
            let fenced = try client.fence(term: standby.role.term + 1)
            try catchUp(standby, with: client, to: fenced, url: url)
            return true
        } catch {
            switch error {
            case .unreachable(let reason):
                StandardError.print(
                    "the primary at \(url) can't be reached (\(reason)): it is not fenced",
                    level: .warning)
                return false
            case .refused(.off):
                StandardError.print(
                    "the primary at \(url) has replication off: it can't be fenced",
                    level: .warning)
                return false
            case .refused, .rejected:
                throw CommandFailure(
                    .storage, "the primary at \(url) answers, but \(error)",
                    "correct that, or promote with --without-primary")
            }
        }
    }

    private func catchUp(
        _ standby: Standby, with client: PrimaryClient, to status: ReplicationStatus, url: String
    ) throws(PrimaryError) {
        guard standby.feed == status.feed else {
            throw .rejected(
                "the copy has to be made anew first: let the standby run until it follows")
        }
        while standby.progress.change ?? 0 < status.change {
            do throws(StandbyError) {
                try standby.follow(client, waitSeconds: 0, mayCopy: false)
            } catch {
                switch error {
                case .primary(let error): throw error
                case .store(let error): throw .rejected("\(error)")
                case .outOfStep(let reason): throw .rejected(reason)
                }
            }
        }
    }
}
