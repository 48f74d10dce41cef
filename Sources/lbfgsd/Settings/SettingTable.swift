extension Setting {
    /// Every setting, in the order in which help and the example configuration show them. The
    /// command line, the environment, the configuration file, their error messages, `check-config`,
    /// `example-config` and the help are made from these rows.
    static let all: [Setting] = [
        Setting(
            "listen", \.listen, .address, in: .access,
            """
            Address and port to listen on. Port 0 takes a free port. An address other than \
            loopback requires a token file. Not used when systemd passes a socket.
            """),
        Setting(
            "token-file", \.tokenFile, .optionalFile(example: "/etc/lbfgsd/tokens"), in: .access,
            """
            File of bearer tokens: one per line, at least 16 characters each; # begins a comment. \
            With it, every request under /v1 needs one of the tokens. SIGHUP reads the file again.
            """),
        Setting(
            "data", \.data, .data, in: .storage,
            """
            Directory that holds the sessions. It is created if it is missing, and used by one \
            process at a time. Under systemd, the default is $STATE_DIRECTORY. With :memory:, \
            sessions end with the process.
            """),
        Setting(
            "http-threads", \.httpThreads, .count(0...64), in: .connections,
            "Number of threads that serve requests; 0 for one per processor, up to eight."),
        Setting(
            "max-connections", \.connectionsMax, .count(1...1_000_000), in: .connections,
            """
            Maximum number of open connections; more are answered with 503. Each long-poll and \
            event stream holds one. Lowered to what the limit on open files allows.
            """),
        Setting(
            "max-connections-per-address", \.connectionsPerAddressMax, .count(0...1_000_000),
            in: .connections,
            """
            Maximum number of open connections from one remote address; 0 for no limit. Leave it \
            at 0 behind a reverse proxy, because all clients then have the proxy's address.
            """),
        Setting(
            "max-body-bytes", \.bodyBytesMax, .bytes(1 << 16...1 << 40), in: .connections,
            """
            Size of the largest request body; larger ones are answered with 413 before they are \
            read. A body may also not be larger than max-parameters numbers need.
            """),
        Setting(
            "max-body-bytes-in-flight", \.bodyBytesInFlightMax, .bytes(1 << 20...1 << 42),
            in: .connections,
            "Maximum total size of the request bodies in memory; more are answered with 503."),
        Setting(
            "header-timeout-seconds", \.headerTimeoutSeconds, .seconds(1...600), in: .connections,
            "Time that a client may take to send the header of a request."),
        Setting(
            "idle-timeout-seconds", \.idleTimeoutSeconds, .seconds(1...3600), in: .connections,
            "Time that a connection may stay silent between requests."),
        Setting(
            "max-waiters", \.waitersMax, .count(1...1_000_000), in: .connections,
            "Maximum number of waiting long-polls and event streams; more are answered with 503."),
        Setting(
            "max-sessions", \.sessionsMax, .count(1...10_000_000), in: .sessions,
            "Maximum number of sessions; creating another is answered with 503."),
        Setting(
            "max-parameters", \.parametersMax, .count(1...1_000_000_000), in: .sessions,
            "Maximum count of numbers in all parameters of one session."),
        Setting(
            "max-session-bytes", \.sessionBytesMax, .bytes(1 << 20...1 << 44), in: .sessions,
            """
            Maximum memory that one session may need: its vectors and a full history, about (2 \
            history_size + 6) numbers per parameter. Creating a larger session is refused.
            """),
        Setting(
            "max-checkpoints", \.checkpointsMax, .count(0...1_000_000), in: .sessions,
            "Maximum number of checkpoints of one session."),
        Setting(
            "max-trace-points", \.tracePointsMax, .count(100...10_000_000), in: .sessions,
            """
            Maximum number of evaluations in the trace of one session, and of its steps. Beyond \
            it, every second evaluation of the older half and the oldest steps are removed. The \
            result of a removed evaluation can't be told again.
            """),
        Setting(
            "max-resident-sessions", \.residentSessionsMax, .count(1...1_000_000), in: .sessions,
            """
            Maximum number of sessions in memory. Beyond it, the least recently used sessions are \
            saved and evicted; they are loaded from disk when they are used again.
            """),
        Setting(
            "max-resident-bytes", \.residentBytesMax, .memory(1 << 20...1 << 44), in: .sessions,
            """
            Maximum memory that the sessions in memory may need together, in bytes or as a share \
            of the machine's memory (of the control group's, if it has a limit). Beyond it, the \
            least recently used sessions are evicted. If all are in use, a request for another \
            session is answered with 503.
            """),
        Setting(
            "idle-eviction-seconds", \.idleEvictionSeconds, .seconds(1...86_400), in: .sessions,
            "Time that a session stays in memory after its last request."),
        Setting(
            "snapshot-interval", \.snapshotInterval, .count(1...100_000), in: .sessions,
            """
            Maximum number of evaluations between two snapshots of a session. If evaluations take \
            long to replay, a snapshot is taken every 64. With a lower number a session loads \
            faster after a crash, and more is written.
            """),
        Setting(
            "webhook-hosts", \.webhookHosts, .webhookHosts, in: .hooks,
            """
            Hosts to which webhooks may be sent over https: a name, or *.name for all names below \
            it, followed by a port if it is not the default one. http://name allows http. Without \
            any host, webhooks are off.
            """),
        Setting(
            "webhook-networks", \.webhookNetworks, .webhookNetworks, in: .hooks,
            """
            Networks to which webhooks may be sent although they are not public. Otherwise \
            loopback, private and link-local addresses are refused, whatever the host name is.
            """),
        Setting(
            "hook-file", \.hookFile, .optionalFile(example: "/etc/lbfgsd/hooks.json"), in: .hooks,
            """
            JSON file with a list of hooks for every session, each in the form in which a client \
            would register it. An observing hook must contain its secret.
            """),
        Setting(
            "log-level", \.logLevel, .choice, in: .operation,
            "Lowest level of the messages that are logged."),
        Setting(
            "log-form", \.logForm, .choice, in: .operation,
            """
            Form of the log's lines: journal for systemd's journal, stamped for the same with the \
            time, terminal for a person. auto chooses by where standard error goes.
            """),
        Setting(
            "shutdown-timeout-seconds", \.shutdownTimeoutSeconds, .seconds(1...600),
            in: .operation,
            """
            Time that a shutdown by SIGTERM may take, in which running exchanges end and sessions \
            are saved. After that the process exits with status 1; no acknowledged result is lost.
            """),
    ]
}
