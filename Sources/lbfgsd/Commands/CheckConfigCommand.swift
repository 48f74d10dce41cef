internal import ArgumentParser
internal import Foundation
internal import Telemetry

struct CheckConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check-config",
        abstract: "Check settings, and print them with where each came from.",
        discussion: """
            Takes what `serve` takes and starts nothing. What it prints is a configuration file \
            itself. If `serve` would refuse to start with it, all that is wrong is named and the \
            status is 78.
            """)

    @OptionGroup
    var options: ConfigurationOptions

    func run() throws {
        do {
            let environment = ProcessInfo.processInfo.environment
            let configuration = try options.resolve(environment: environment)
            let settings = configuration.settings
            print(configuration.listing)
            print("# \(UnitLimits(settings).text)")
            let tokens = try settings.tokenFile.map(TokenFile.read)
            if let tokens {
                let count = tokens.credentials.count
                print("# The token file holds \(count) token\(count == 1 ? "" : "s").")
            }
            try settings.data.check()
            _ = try HookSetup(settings)
            try ExposureRule.check(settings.listen, hasTokens: tokens != nil)
            if let warning = tokens?.warning { StandardError.print(warning, level: .warning) }
            for (name, meant) in configuration.misspeltVariables {
                StandardError.print(
                    "environment \(name) is no setting; did you mean \(meant)?", level: .warning)
            }
        } catch {
            throw error.report()
        }
    }
}

/// What a unit's limits must leave to the daemon, by its settings.
private struct UnitLimits {
    var memoryBytes: Int
    var tasks: Int

    /// The log's entries in memory, requests of other kinds, and the program itself.
    private static let otherBytes = 512 << 20
    /// Threads that don't serve requests: background executors, and those of the store, the
    /// webhooks and the runtime, each at its maximum.
    private static let otherTasks = 256

    init(_ settings: Settings) {
        memoryBytes =
            settings.residentBytesMax.resolved + settings.bodyBytesInFlightMax
            + settings.responseBytesInFlightMax + UnitLimits.otherBytes
        tasks = (settings.httpThreads > 0 ? settings.httpThreads : 8) + UnitLimits.otherTasks
    }

    var text: String {
        "Limits of a unit that suffice when all of this is used: MemoryMax=\(memoryBytes >> 20)M "
            + "(max-resident-bytes, max-body-bytes-in-flight, "
            + "max-response-bytes-in-flight and \(UnitLimits.otherBytes >> 20)M), TasksMax=\(tasks)"
    }
}

struct ExampleConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "example-config",
        abstract: "Print a configuration file that explains every setting.")

    func run() {
        print(ExampleConfiguration.text, terminator: "")
    }
}
