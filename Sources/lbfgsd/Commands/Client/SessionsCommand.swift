internal import ArgumentParser

struct SessionsCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "sessions",
        abstract: "List sessions, the newest first.",
        discussion: """
            Where a command below asks for a session, its name is as good as its identifier if no \
            other session has it.
            """)

    @Option(help: "Only those of this name.")
    var name: String?

    @Option(help: ArgumentHelp("Only those with this label.", valueName: "key=value"))
    var label: String?

    @Option(help: "At most so many; 0 for all.")
    var limit = 50

    @OptionGroup
    var options: ClientOptions

    func perform(_ peer: Peer) throws(CommandFailure) {
        var table = Table("ID", "NAME", "STATE", "N", "STEP", "EVALUATION", "LOSS", "AGE", "LABELS")
        var token: String?
        var count = 0
        let query = try label.map { (text) throws(CommandFailure) in
            let (key, value) = try labelParts(text)
            return "&label=" + percentEncoded("\(key):\(value)")
        }
        repeat {
            let rest = limit == 0 ? 100 : min(100, limit - count)
            var path = "/v1/sessions?page_size=\(rest)"
            if let name { path += "&name=" + percentEncoded(name) }
            if let query { path += query }
            if let token { path += "&page_token=" + percentEncoded(token) }
            let body = try peer.call("GET", path)
            let page = try Peer.decode(SessionList.self, from: body)
            if options.json { printLine(body) }
            for line in page.sessions {
                let labels = line.labels.sorted { $0.key < $1.key }.map { "\($0)=\($1)" }
                table.add(
                    line.id, line.name ?? "-", line.state, String(line.n), String(line.step),
                    String(line.evaluation), shortText(line.loss), age(line.updatedAt),
                    labels.joined(separator: ","))
            }
            count += page.sessions.count
            token = page.nextPageToken
        } while token != nil && (limit == 0 || count < limit)
        if !options.json { print(table.isEmpty ? "no sessions" : table.text) }
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

struct DeleteCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Delete sessions, with their checkpoints and traces.",
        discussion: "What is deleted is gone. In a terminal it asks first, unless --yes is given.")

    @Argument(help: "The sessions' identifiers or names.")
    var sessions: [String]

    @Flag(help: "Do not ask.")
    var yes = false

    @OptionGroup
    var options: ClientOptions

    func perform(_ peer: Peer) throws(CommandFailure) {
        var identifiers: [(word: String, id: String)] = []
        for word in sessions { identifiers.append((word, try peer.identifier(of: word))) }
        if !yes, isTerminal(0) {
            note("delete \(identifiers.map(\.word).joined(separator: ", "))? [y/N]")
            guard let answer = readLine(), ["y", "yes"].contains(answer.lowercased()) else {
                throw CommandFailure(.failure, "nothing is deleted")
            }
        }
        for (word, id) in identifiers {
            _ = try peer.call("DELETE", "/v1/sessions/\(id)")
            if !options.json { print("deleted \(word)") }
        }
    }
}
