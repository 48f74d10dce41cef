internal import ArgumentParser
internal import Foundation
internal import Telemetry

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve",
        abstract: "Run the daemon.",
        discussion: """
            Every setting can be given on the command line, in the environment (--max-sessions is \
            LBFGSD_MAX_SESSIONS) or in the configuration file (max-sessions: 100), and counts in \
            this order. `lbfgsd example-config` prints a file that explains them all.

            SIGTERM and SIGINT save all sessions and end with status 0. SIGHUP reads the token \
            file again. Status 64 means a wrong command line, 69 an address that can't be \
            listened on, 74 a data directory that can't be used, 75 one that is in use, 78 a \
            wrong configuration.
            """)

    @OptionGroup
    var options: ConfigurationOptions

    func run() async throws {
        do {
            let environment = ProcessInfo.processInfo.environment
            let manager = ServiceManager.adopt(environment: environment)
            let configuration = try options.resolve(environment: environment)
            let settings = configuration.settings
            LogSetup.bootstrap(
                level: settings.logLevel.level,
                format: settings.logFormat.resolved(environment: environment),
                context: RequestContext.metadata)
            let log = Logger(label: "lbfgsd")
            for (name, meant) in configuration.misspeltVariables {
                log.warning(
                    "an environment variable is no setting",
                    metadata: ["name": "\(name)", "meant": "\(meant)"])
            }
            try await Daemon.run(settings, manager: manager, log: log)
        } catch {
            throw error.report()
        }
    }
}
