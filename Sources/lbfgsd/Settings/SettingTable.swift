extension Setting {
    /// Every setting, in the order in which help and the example configuration show them. The
    /// command line, the environment, the configuration file, their error messages, `check-config`,
    /// `example-config` and the help are made from these rows.
    static let all: [Setting] = [
        Setting(
            "listen", \.listen, .address, in: .access,
            """
            Address and port to listen on; port 0 takes a free one. Beyond loopback, a token file \
            is required. Not used when systemd passes a socket.
            """),
        Setting(
            "token-file", \.tokenFile, .optionalFile(example: "/etc/lbfgsd/tokens"), in: .access,
            """
            File of bearer tokens, one a line, at least 16 characters each; # begins a comment. \
            With it, every call under /v1 needs one of them. SIGHUP reads it again.
            """),
        Setting(
            "data", \.data, .data, in: .storage,
            """
            Directory that holds the sessions; made when it is missing, used by one process at a \
            time. Under systemd, $STATE_DIRECTORY. With :memory:, sessions end with the process.
            """),
        Setting(
            "http-threads", \.httpThreads, .count(0...64), in: .connections,
            "Threads that serve requests; 0 for one for each processor, up to eight."),
        Setting(
            "max-connections", \.connectionsMax, .count(1...1_000_000), in: .connections,
            """
            Connections open at once; more are answered 503. Each long-poll and event stream holds \
            one. Lowered to what the limit on open files allows.
            """),
        Setting(
            "max-connections-per-address", \.connectionsPerAddressMax, .count(0...1_000_000),
            in: .connections,
            """
            Connections open at once from one remote address; 0 for no limit. Leave it 0 behind a \
            reverse proxy, which makes all clients one address.
            """),
        Setting(
            "max-body-bytes", \.bodyBytesMax, .bytes(1 << 16...1 << 40), in: .connections,
            """
            Largest request body; larger ones are answered 413 before they are read. Besides, no \
            body may be larger than max-parameters numbers need.
            """),
        Setting(
            "max-body-bytes-in-flight", \.bodyBytesInFlightMax, .bytes(1 << 20...1 << 42),
            in: .connections,
            "Request bodies held in memory at once, all together; more are answered 503."),
        Setting(
            "header-timeout-seconds", \.headerTimeoutSeconds, .seconds(1...600), in: .connections,
            "How long a client may take to send a request's header."),
        Setting(
            "idle-timeout-seconds", \.idleTimeoutSeconds, .seconds(1...3600), in: .connections,
            "How long a connection may stay silent between requests."),
        Setting(
            "max-waiters", \.waitersMax, .count(1...1_000_000), in: .connections,
            "Long-polls and event streams waiting at once; more are answered 503."),
        Setting(
            "max-sessions", \.sessionsMax, .count(1...10_000_000), in: .sessions,
            "Sessions that exist at once; creating another is answered 503."),
        Setting(
            "max-parameters", \.parametersMax, .count(1...1_000_000_000), in: .sessions,
            "Numbers in the parameters of one session, all together."),
        Setting(
            "max-session-bytes", \.sessionBytesMax, .bytes(1 << 20...1 << 44), in: .sessions,
            """
            Memory that one session may come to need: its vectors and a full history, about \
            (2 history_size + 6) numbers a parameter. Creating a larger one is refused.
            """),
        Setting(
            "max-checkpoints", \.checkpointsMax, .count(0...1_000_000), in: .sessions,
            "Checkpoints of one session."),
        Setting(
            "max-trace-points", \.tracePointsMax, .count(100...10_000_000), in: .sessions,
            """
            Evaluations kept in the trace of one session, and steps. Past that every second one of \
            the older half goes, and the oldest steps; an evaluation that has gone can't be told \
            again.
            """),
        Setting(
            "max-resident-sessions", \.residentSessionsMax, .count(1...1_000_000), in: .sessions,
            """
            Sessions kept in memory. Past that the least recently used are saved and unloaded; \
            they load again from disk when they are asked for.
            """),
        Setting(
            "max-resident-bytes", \.residentBytesMax, .memory(1 << 20...1 << 44), in: .sessions,
            """
            Memory that the sessions kept in memory may come to need, all together, or a share of \
            the machine's (of the control group's, if that has a limit). Past that the least \
            recently used leave; a call on another is answered 503 when all of them are in use.
            """),
        Setting(
            "idle-eviction-seconds", \.idleEvictionSeconds, .seconds(1...86_400), in: .sessions,
            "How long a session stays in memory after its last call."),
        Setting(
            "snapshot-interval", \.snapshotInterval, .count(1...100_000), in: .sessions,
            """
            Evaluations between snapshots of a session, at most: where they take long to replay \
            there is one every 64. A lower number makes a session load faster after a crash, and \
            write more.
            """),
        Setting(
            "webhook-hosts", \.webhookHosts, .webhookHosts, in: .hooks,
            """
            Hosts that webhooks may be sent to, over https: a name, *.name for all below it, with \
            a port if it is another one; http://name allows http. Without any, webhooks are off.
            """),
        Setting(
            "webhook-networks", \.webhookNetworks, .webhookNetworks, in: .hooks,
            """
            Networks that connections for webhooks may be made to although they aren't public: \
            loopback, private and link-local addresses are refused otherwise, whatever the name.
            """),
        Setting(
            "hook-file", \.hookFile, .optionalFile(example: "/etc/lbfgsd/hooks.json"), in: .hooks,
            """
            JSON list of hooks on every session, each as a client would register it; an observing \
            one must have its secret.
            """),
        Setting(
            "log-level", \.logLevel, .choice, in: .operation,
            "Least important messages that are logged."),
        Setting(
            "log-form", \.logForm, .choice, in: .operation,
            """
            How lines of the log look: as the journal reads them, the same with the time, or for a \
            terminal; auto chooses by where standard error goes.
            """),
        Setting(
            "shutdown-timeout-seconds", \.shutdownTimeoutSeconds, .seconds(1...600),
            in: .operation,
            """
            How long SIGTERM may take: running exchanges end, sessions are saved. After that the \
            process ends with status 1; nothing acknowledged is lost.
            """),
    ]
}
