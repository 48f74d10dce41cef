internal import ArgumentParser

@main
struct LbfgsdCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lbfgsd",
        abstract: "Holds L-BFGS optimizations for clients that bring loss and gradient over HTTP.",
        discussion: """
            A client makes a session, is told a point, evaluates its model there, and tells loss \
            and gradient; the answer is the next point. What was answered 2xx is on disk: after \
            a crash a session goes on at the same point, bit for bit.

            Try it, with sessions that end with the process:
              lbfgsd serve --data :memory:

            Keep sessions, on a port of your own:
              lbfgsd serve --data /var/lib/lbfgsd --listen 127.0.0.1:9000

            See what a configuration comes to before you restart with it:
              lbfgsd check-config --config /etc/lbfgsd/lbfgsd.yaml
            """,
        version: "lbfgsd \(Version.current)",
        subcommands: [
            ServeCommand.self, CheckConfigCommand.self, ExampleConfigCommand.self,
            CompactCommand.self, BackupCommand.self, RestoreCommand.self, VerifyCommand.self,
            SalvageCommand.self, ExportCommand.self, ImportCommand.self, StandbyCommand.self,
            PromoteCommand.self, TokenCommand.self,
        ],
        groupedSubcommands: [
            CommandGroup(
                name: "Sessions",
                subcommands: [
                    RunCommand.self, CheckGradientCommand.self, SessionsCommand.self,
                    ShowCommand.self, CreateCommand.self, AskCommand.self, TellCommand.self,
                    StopCommand.self, WatchCommand.self, TraceCommand.self, CheckpointCommand.self,
                    RewindCommand.self, ForkCommand.self, CompareCommand.self, DeleteCommand.self,
                ])
        ])
}

/// The options that the commands share.
struct ConfigurationOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "YAML file of settings, each under its option's name. (default: $LBFGSD_CONFIG)",
            valueName: "file"))
    var config: String?

    @OptionGroup
    var settings: SettingOptions

    func resolve(environment: [String: String]) throws(CommandFailure) -> Configuration {
        try Configuration(
            commandLine: settings.given, environment: environment, file: config)
    }
}
