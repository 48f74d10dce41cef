internal import ArgumentParser

struct SessionsCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "sessions",
        abstract: "List sessions, the newest first or as --sort says.",
        discussion: """
            Where a command below asks for a session, its name is as good as its identifier if no \
            other session has it.
            """)

    @Option(help: "Only those of this name.")
    var name: String?

    @Option(help: ArgumentHelp("Only those with this label.", valueName: "key=value"))
    var label: String?

    @Option(help: "Only those in this state: idle, evaluating or awaiting_hook.")
    var state: String?

    @Option(help: "Only those of this mode: torch or robust.")
    var mode: String?

    @Option(help: "Only those with this text in their name, identifier or a label.")
    var text: String?

    @Option(
        help: "What comes first: the newest (created, updated) or the least (best_loss, name).")
    var sort: String?

    @Flag(help: "The other way round.")
    var reverse = false

    @Option(help: "At most so many; 0 for all.")
    var limit = 50

    @OptionGroup
    var options: ClientOptions

    func perform(_ peer: Peer) throws(CommandFailure) {
        var table = Table(
            "ID", "NAME", "STATE", "N", "STEP", "EVALUATION", "LOSS", "BEST", "AGE", "LABELS")
        var token: String?
        var count = 0
        let query = try query
        repeat {
            let rest = limit == 0 ? 100 : min(100, limit - count)
            var path = "/v1/sessions?page_size=\(rest)"
            path += query
            if let token { path += "&page_token=" + percentEncoded(token) }
            let body = try peer.call("GET", path)
            let page = try Peer.decode(SessionList.self, from: body)
            if options.json { printLine(body) }
            for line in page.sessions {
                let labels = line.labels.sorted { $0.key < $1.key }.map { "\($0)=\($1)" }
                table.add(
                    line.id, line.name ?? "-", line.state, String(line.n), String(line.step),
                    String(line.evaluation), shortText(line.loss), shortText(line.best?.loss),
                    age(line.updatedAt), labels.joined(separator: ","))
            }
            count += page.sessions.count
            token = page.nextPageToken
        } while token != nil && (limit == 0 || count < limit)
        if !options.json { print(table.isEmpty ? "no sessions" : table.text) }
    }

    private var query: String {
        get throws(CommandFailure) {
            var parts = [("name", name), ("state", state), ("mode", mode), ("q", text)]
            if let label {
                let (key, value) = try labelParts(label)
                parts.append(("label", "\(key):\(value)"))
            }
            parts.append(("order_by", sort))
            if reverse {
                let isDescending = ["created", "updated"].contains(sort ?? "created")
                parts.append(("descending", isDescending ? "false" : "true"))
            }
            return parts.compactMap { name, value in
                value.map { "&\(name)=" + percentEncoded($0) }
            }.joined()
        }
    }
}

struct ShowCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show a session: where it is, its options, its last step.")

    @Argument(help: "The session's identifier or name.")
    var session: String

    @OptionGroup
    var options: ClientOptions

    func perform(_ peer: Peer) throws(CommandFailure) {
        let path = try peer.session(session)
        let body = try peer.call("GET", path)
        if options.json { return printLine(body) }
        let detail = try Peer.decode(SessionDetail.self, from: body)
        var lines = [
            ("session", detail.id), ("name", detail.name ?? "-"),
            (
                "labels",
                detail.labels.sorted { $0.key < $1.key }.map { "\($0)=\($1)" }
                    .joined(separator: ", ")
            ),
            ("state", detail.state), ("numbers", "\(detail.n), \(detail.dtype)"),
            ("bounds", detail.bounded ? "yes" : "none"), ("step", String(detail.step)),
            ("evaluation", String(detail.evaluation)), ("loss", shortText(detail.loss)),
        ]
        if let best = detail.best { lines.append(("best loss", shortText(best.loss))) }
        if detail.step > 0 {
            let number = detail.state == "idle" ? detail.step : detail.step - 1
            if number > 0 {
                let step = try peer.call(StepAnswer.self, "GET", "\(path)/steps/\(number)")
                if let result = step.result { lines.append(("last step", sentence(result))) }
            }
        }
        if let origin = detail.origin, let session = origin.session {
            lines.append(("forked from", "\(session), checkpoint \(origin.checkpoint ?? "-")"))
        }
        lines += [
            ("on disk", byteText(detail.diskBytes)),
            ("in memory", "up to " + byteText(detail.memoryBytesEstimate)),
            ("created", detail.createdAt), ("changed", "\(age(detail.updatedAt)) ago"),
            ("expires", detail.expiresAt ?? "never"),
        ]
        for (key, value) in detail.options.sorted(by: { $0.key < $1.key }) {
            lines.append((key, value.description))
        }
        let width = lines.map(\.0.count).max() ?? 0
        for (key, value) in lines where !value.isEmpty {
            print(key + String(repeating: " ", count: width - key.count + 2) + value)
        }
    }
}

struct CompareCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare", abstract: "Compare sessions by loss, gradient and evaluations.")

    @Argument(help: "The sessions' identifiers or names.")
    var sessions: [String]

    @Flag(help: "Draw their losses in the terminal.")
    var plot = false

    @OptionGroup
    var options: ClientOptions

    func perform(_ peer: Peer) throws(CommandFailure) {
        var table = Table(
            "SESSION", "MODE", "N", "EVALUATIONS", "LOSS", "BEST", "GRADIENT", "STATE")
        var curves: [TerminalPlot.Curve] = []
        for word in sessions {
            let path = try peer.session(word)
            let body = try peer.call("GET", path)
            if options.json { printLine(body) }
            let detail = try Peer.decode(SessionDetail.self, from: body)
            let points = try peer.trace(path)
            let best = points.compactMap(\.loss).filter(\.isFinite).min()
            table.add(
                detail.name ?? detail.id, detail.options["mode"]?.description ?? "-",
                String(detail.n), String(points.last?.evaluation ?? 0), shortText(detail.loss),
                shortText(best), shortText(points.last?.gradientNormInf), detail.state)
            curves.append(.init(name: detail.name ?? detail.id, points: points.losses))
        }
        if options.json { return }
        print(table.text)
        if plot { print(TerminalPlot(curves).text) }
    }
}
