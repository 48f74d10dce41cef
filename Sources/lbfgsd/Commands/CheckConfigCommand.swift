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
            let tokens = try settings.tokenFile.map(TokenFile.read)
            if let tokens {
                let count = tokens.tokens.count
                print("# The token file holds \(count) token\(count == 1 ? "" : "s").")
            }
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

struct ExampleConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "example-config",
        abstract: "Print a configuration file that explains every setting.")

    func run() {
        print(ExampleConfiguration.text, terminator: "")
    }
}
