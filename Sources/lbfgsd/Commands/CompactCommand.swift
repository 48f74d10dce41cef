internal import ArgumentParser
internal import Foundation
internal import SQLiteStore
internal import Sessions
internal import Telemetry

struct CompactCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compact",
        abstract: "Make the data directory as small as it can be; the daemon must not run.",
        discussion: """
            A running daemon gives room back by itself. This does what it leaves: thins out traces \
            that are too long for a lowered max-trace-points, copies what lives in segment files \
            with dead bytes to new ones, and rewrites the database. It prints the bytes on disk \
            before and after. A crash in the middle loses nothing.

            Run it as the user whose files they are. It needs room for a segment (256 MiB, or one \
            larger vector) and for another copy of lbfgsd.sqlite. Status 74 means that the \
            directory can't be read or written or that vectors are damaged, 75 that a daemon has \
            it open.
            """)

    @OptionGroup
    var options: ConfigurationOptions

    func run() async throws {
        do {
            try await compact()
        } catch let failure as CommandFailure {
            throw failure.report()
        }
    }

    private func compact() async throws {
        let settings = try options.resolve(environment: ProcessInfo.processInfo.environment)
            .settings
        guard case .directory(let path) = settings.data else {
            throw CommandFailure(.usage, "data :memory: has nothing on disk to compact")
        }
        LogSetup.bootstrap(
            level: settings.logLevel.level,
            format: settings.logFormat.resolved(environment: ProcessInfo.processInfo.environment))
        let log = Logger(label: "lbfgsd")
        var limits = SQLiteStoreLimits()
        limits.tracePointsMax = settings.tracePointsMax
        let report: CompactionReport
        do throws(StoreError) {
            report = try await SQLiteStore.compact(
                directory: path, limits: limits,
                horizon: Date(timeIntervalSinceNow: -settings.limits.deliverySeconds),
                onFatal: { StoreOpening.end(log, $0) })
        } catch {
            throw StoreOpening.failure(error, path: path)
        }
        print("before \(report.bytesBefore) bytes")
        print("after  \(report.bytesAfter) bytes")
        guard report.damaged.isEmpty else {
            throw CommandFailure(
                .storage, report.damaged.map { "data \(path): \($0); left as it is" })
        }
    }
}
