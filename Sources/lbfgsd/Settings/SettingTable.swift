internal import Sessions

extension Setting {
    /// Every setting, in the order in which help and the example configuration show them. The
    /// command line, the environment, the configuration file, their error messages, `check-config`,
    /// `example-config` and the help are made from these rows.
    static let all: [Setting] = [
        Setting(
            "listen", \.listen, .address, in: .access,
            """
            Address and port to listen on. Port 0 takes a free port. An address other than \
            loopback requires a token file. unix: and a path make a Unix socket, which the user \
            and the group of the daemon may use. Not used when systemd passes a socket.
            """),
        Setting(
            "allowed-hosts", \.allowedHosts, .hosts, in: .access,
            """
            Names by which clients call the daemon, besides localhost and the address that it \
            listens on: those of a reverse proxy or of the machine. A name without a port is \
            allowed with every port. A request for another host is answered with 421, so that no \
            web page can reach the daemon by a name of its own. A daemon that listens on all \
            addresses (0.0.0.0 or [::]) can be called by any address, but names must stand here.
            """),
        Setting(
            "token-file", \.tokenFile, .optionalFile(example: "/etc/lbfgsd/tokens.yaml"),
            in: .access,
            """
            File of bearer tokens. In a YAML file, each has a name, the SHA-256 of the token, a \
            tenant, scopes, and perhaps an end; `lbfgsd token new` makes one. A plain file has one \
            token per line, at least 16 characters each, with every scope; # begins a comment. \
            With it, every request under /v1 needs one of the tokens. SIGHUP reads the file again.
            """),
        Setting(
            "metrics-access", \.metricsAccess, .choice, in: .access,
            """
            Who may read /metrics: open for everybody, admin for tokens with the scope admin. auto \
            is open without tokens and with a plain token file, and admin with a YAML file.
            """),
        Setting(
            "docs-url", \.docsURL, .optionalLocation, in: .access,
            """
            Where /docs leads: the site that `make docs` builds, served by a web server such as \
            the reverse proxy. Without it /docs is answered with 404.
            """),
        Setting(
            "tenant-max-sessions", \.tenantSessionsMax, .count(0...10_000_000), in: .tenants,
            """
            Maximum number of sessions of one tenant; creating another is answered with 507. Each \
            of these quotas is the default for tenants to which the token file gives none of their \
            own; 0 for no limit.
            """),
        Setting(
            "tenant-max-disk-bytes", \.tenantDiskBytesMax, .bytes(0...1 << 50), in: .tenants,
            """
            Maximum size of one tenant's sessions on disk. What may exceed it is answered with \
            507; reading, stopping a step and deleting always work.
            """),
        Setting(
            "tenant-max-memory-bytes", \.tenantMemoryBytesMax, .bytes(0...1 << 50), in: .tenants,
            """
            Maximum memory that one tenant's sessions in memory may need together. Its least \
            recently used sessions are evicted; if all are in use, the request is answered with 429.
            """),
        Setting(
            "tenant-max-requests-in-flight", \.tenantRequestsInFlightMax, .count(0...1_000_000),
            in: .tenants,
            """
            Maximum number of one tenant's requests in flight, with long-polls and event streams; \
            more are answered with 429.
            """),
        Setting(
            "data", \.data, .data, in: .storage,
            """
            Directory that holds the sessions. If it is missing, it is created in its parent, \
            which must be there. It is used by one process at a time, and must not be writable for \
            everybody. Under systemd, the default is $STATE_DIRECTORY. With :memory:, sessions end \
            with the process.
            """),
        Setting(
            "disk-reserve-bytes", \.diskReserveBytes, .bytes(0...1 << 44), in: .storage,
            """
            Free space on the data directory's file system below which creating sessions, \
            checkpoints and forks is answered with 507, so that results are still stored; 0 for no \
            reserve. At most a sixteenth of the file system is kept.
            """),
        Setting(
            "replication", \.replication, .choice, in: .replication,
            """
            Whether a standby may follow this daemon (`lbfgsd standby`), and what a write waits \
            for: asynchronous for this disk alone, so that a failover may lose the last moments; \
            synchronous for the standby's disk too.
            """),
        Setting(
            "standby-missing", \.standbyMissing, .choice, in: .replication,
            """
            What a synchronous daemon does while no standby acknowledges: refuse answers writes \
            with 503; continue takes them without a standby, and says so in the log.
            """),
        Setting(
            "standby-timeout-seconds", \.standbyTimeoutSeconds, .seconds(5...3600),
            in: .replication,
            "Time after which a standby that acknowledges nothing is missing."),
        Setting(
            "replication-buffer-bytes", \.replicationBufferBytes, .bytes(1 << 20...1 << 40),
            in: .replication,
            """
            Memory for changes that the standby has not taken yet. A standby that is further \
            behind copies the store anew.
            """),
        Setting(
            "replication-segment-bytes", \.replicationSegmentBytes, .bytes(0...1 << 50),
            in: .replication,
            """
            Space for long vectors that were deleted and that the standby has not copied yet. A \
            standby that is further behind copies the store anew.
            """),
        Setting(
            "primary-token-file", \.primaryTokenFile,
            .optionalFile(example: "/etc/lbfgsd/primary.token"), in: .replication,
            """
            File with the token, of the scope admin, with which `standby` and `promote` call the \
            primary, and with which a promoted daemon tells its former primary that it is one.
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
            """
            Maximum total size of the request bodies in memory; more are answered with 503. At \
            least max-body-bytes, which is lowered to it if it isn't given.
            """),
        Setting(
            "max-response-bytes-in-flight", \.responseBytesInFlightMax,
            .bytes(1 << 20...1 << 42), in: .connections,
            """
            Maximum memory that responses may hold until their clients have read them; more are \
            answered with 503. A single larger response is sent when it is the only one.
            """),
        Setting(
            "max-bytes-in-flight-per-address", \.bytesInFlightPerAddressMax,
            .bytes(0...1 << 42), in: .connections,
            """
            Maximum memory for the bodies and responses of one remote address; 0 for no limit. \
            Behind a reverse proxy, all clients have the proxy's address.
            """),
        Setting(
            "stall-timeout-seconds", \.stallTimeoutSeconds, .seconds(1...600), in: .connections,
            """
            Time after which a client that reads nothing of a long response is disconnected. When \
            half of max-response-bytes-in-flight is taken, it has to read 64 KiB per second.
            """),
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
            history_size + 12) numbers per parameter and 16 history_size^2 bytes. Creating a \
            larger session is refused.
            """),
        Setting(
            "max-checkpoints", \.checkpointsMax, .count(0...1_000_000), in: .sessions,
            "Maximum number of checkpoints of one session."),
        Setting(
            "session-expires-after-default", \.expiresAfterDefault,
            .seconds(0...Limits.expiresAfterBound), in: .sessions,
            """
            Time without a change after which a session is deleted whose client sets no \
            expires_after; 0 for never. A session is not deleted while it has a checkpoint that is \
            kept.
            """),
        Setting(
            "session-expires-after-max", \.expiresAfterMax,
            .seconds(0...Limits.expiresAfterBound), in: .sessions,
            """
            Maximum expires_after of a session, and its value where there is no default; 0 for \
            any, and never. Sessions that exist already keep theirs.
            """),
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
            "log-format", \.logFormat, .choice, in: .operation,
            """
            Format of the log's lines: journal for systemd's journal, timestamped for the same \
            with the time, terminal for a person, json for one JSON object a line. auto chooses \
            by where standard error goes.
            """),
        Setting(
            "audit-log", \.auditLog, .choice, in: .operation,
            """
            Which writes the log has a line about, with the label audit: who called from where, \
            what, which session, and how it ended. changes leaves out the steps and results of \
            optimizations; all has a line for each of them too.
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
