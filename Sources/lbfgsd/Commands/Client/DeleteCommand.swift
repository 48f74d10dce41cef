internal import ArgumentParser
internal import Foundation

struct DeleteCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete",
        abstract: "Delete sessions, with their checkpoints and traces.",
        discussion: """
            What is deleted is gone. In a terminal it asks first, unless --yes is given. Sessions \
            are named, or chosen by --label, --older-than, --unnamed and --state, all of which \
            must hold; these need an answer or --yes.
            """)

    @Argument(help: "The sessions' identifiers or names.")
    var sessions: [String] = []

    @Option(help: ArgumentHelp("Those with this label.", valueName: "key=value"))
    var label: String?

    @Option(
        help: ArgumentHelp(
            "Those that have not changed for so long: seconds, or with m, h or d behind.",
            valueName: "time"))
    var olderThan: String?

    @Flag(help: "Those without a name.")
    var unnamed = false

    @Option(help: "Those in this state: idle, evaluating or awaiting_hook.")
    var state: String?

    @Flag(help: "Do not ask.")
    var yes = false

    @OptionGroup
    var options: ClientOptions

    func perform(_ peer: Peer) throws(CommandFailure) {
        let criteria = try criteria
        switch (sessions.isEmpty, criteria.isEmpty) {
        case (false, true): try deleteNamed(peer)
        case (true, false): try purge(criteria, peer)
        case (true, true): throw CommandFailure(.usage, "no session is named, and none chosen")
        case (false, false):
            throw CommandFailure(.usage, "sessions are named or chosen, not both")
        }
    }

    private func deleteNamed(_ peer: Peer) throws(CommandFailure) {
        var identifiers: [(word: String, id: String)] = []
        for word in sessions { identifiers.append((word, try peer.identifier(of: word))) }
        if !yes, isTerminal(0) {
            try ask("delete \(identifiers.map(\.word).joined(separator: ", "))?")
        }
        for (word, id) in identifiers {
            _ = try peer.call("DELETE", "/v1/sessions/\(id)")
            if !options.json { print("deleted \(word)") }
        }
    }

    private func purge(_ criteria: [String: Any], _ peer: Peer) throws(CommandFailure) {
        let found = try answer(to: criteria, peer).answer
        if found.count == 0 {
            if !options.json { print("no sessions") }
            return
        }
        if !yes {
            for id in found.sessions.prefix(10) { note(id) }
            if found.count > 10 { note("and \(found.count - 10) more") }
            guard isTerminal(0) else {
                throw CommandFailure(.usage, "not a terminal: --yes deletes these")
            }
            try ask("delete \(found.count) sessions?")
        }
        var deleted = 0
        while true {
            let sent = try answer(to: criteria.merging(["force": true]) { $1 }, peer)
            if options.json { printLine(sent.body) }
            deleted += sent.answer.deleted ?? 0
            guard sent.answer.more == true, sent.answer.deleted ?? 0 > 0 else { break }
        }
        if !options.json { print("deleted \(deleted) sessions") }
    }

    private func answer(
        to criteria: [String: Any], _ peer: Peer
    ) throws(CommandFailure) -> (body: [UInt8], answer: PurgeAnswer) {
        guard let data = try? JSONSerialization.data(withJSONObject: criteria) else {
            throw CommandFailure(.usage, "the criteria can't be written as JSON")
        }
        let body = try peer.call("POST", "/v1/sessions:purge", [UInt8](data))
        return (body, try Peer.decode(PurgeAnswer.self, from: body))
    }

    private func ask(_ question: String) throws(CommandFailure) {
        note("\(question) [y/N]")
        guard let answer = readLine(), ["y", "yes"].contains(answer.lowercased()) else {
            throw CommandFailure(.failure, "nothing is deleted")
        }
    }

    private var criteria: [String: Any] {
        get throws(CommandFailure) {
            var criteria: [String: Any] = [:]
            if let label {
                let (key, value) = try labelParts(label)
                criteria["label"] = "\(key):\(value)"
            }
            if let olderThan { criteria["inactive_seconds"] = try seconds(olderThan) }
            if unnamed { criteria["unnamed"] = true }
            if let state { criteria["state"] = state }
            return criteria
        }
    }

    /// `90`, `90s`, `15m`, `12h`, `7d`.
    private func seconds(_ text: String) throws(CommandFailure) -> Int {
        let units: [Character: Int] = ["s": 1, "m": 60, "h": 3_600, "d": 86_400]
        let unit = text.last.flatMap { units[$0] }
        let number = Int(unit == nil ? text : String(text.dropLast()))
        guard let number, number >= 0, number <= 1_000_000_000 / (unit ?? 1) else {
            throw CommandFailure(.usage, "\(text): must be a number, or one with s, m, h or d")
        }
        return number * (unit ?? 1)
    }
}
