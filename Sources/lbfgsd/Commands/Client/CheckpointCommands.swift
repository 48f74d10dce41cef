internal import ArgumentParser
internal import Foundation

extension Peer {
    func makeCheckpoint(
        _ path: String, name: String?, keep: Bool
    ) throws(CommandFailure) -> [UInt8] {
        var object: [String: Any] = [:]
        object["name"] = name
        if keep { object["keep"] = true }
        let body = (try? JSONSerialization.data(withJSONObject: object)) ?? Data("{}".utf8)
        return try call("POST", "\(path)/checkpoints", [UInt8](body))
    }
}

struct CheckpointCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "checkpoint",
        abstract: "Make a checkpoint of a session, and print its number; or list them.")

    @Argument(help: "The session's identifier or name.")
    var session: String

    @Option(help: "Name of the checkpoint.")
    var name: String?

    @Flag(help: "A session with such a checkpoint does not expire.")
    var keep = false

    @Flag(help: "List the checkpoints, and make none.")
    var list = false

    @OptionGroup
    var options: ClientOptions

    func perform(_ peer: Peer) throws(CommandFailure) {
        let path = try peer.session(session)
        guard list else {
            let body = try peer.makeCheckpoint(path, name: name, keep: keep)
            if options.json { return printLine(body) }
            return print(try Peer.decode(CheckpointLine.self, from: body).id)
        }
        var table = Table("CHECKPOINT", "NAME", "STEP", "EVALUATION", "LOSS", "KEEP", "AGE")
        var token: String?
        repeat {
            let query = token.map { "?page_token=" + percentEncoded($0) } ?? ""
            let body = try peer.call("GET", "\(path)/checkpoints\(query)")
            let page = try Peer.decode(CheckpointList.self, from: body)
            if options.json { printLine(body) }
            for line in page.checkpoints {
                table.add(
                    line.id, line.name ?? "-", String(line.step), String(line.evaluation),
                    shortText(line.loss), line.keep ? "yes" : "no", age(line.createdAt))
            }
            token = page.nextPageToken
        } while token != nil
        if !options.json { print(table.isEmpty ? "no checkpoints" : table.text) }
    }
}

struct RewindCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "rewind",
        abstract: "Take a session back to a checkpoint.",
        discussion: """
            What came after the checkpoint is gone, but for the trace; make a checkpoint first if \
            it may be wanted. (`lbfgsd restore` is about backups of a data directory.)
            """)

    @Argument(help: "The session's identifier or name.")
    var session: String

    @Argument(help: "The checkpoint's number.")
    var checkpoint: String

    @OptionGroup
    var options: ClientOptions

    func perform(_ peer: Peer) throws(CommandFailure) {
        let path = try peer.session(session)
        let body = try peer.call(
            "POST", "\(path)/checkpoints/\(percentEncoded(checkpoint))/restore")
        if options.json { return printLine(body) }
        let turn = try Peer.decode(TurnAnswer.self, from: body)
        print(turn.evaluation.map { "evaluation \($0.number)" } ?? "idle, step \(turn.step)")
    }
}

struct ForkCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "fork",
        abstract: "Make a session that begins where another one is, and print its identifier.")

    @Argument(help: "The session's identifier or name.")
    var session: String

    @Argument(help: "The checkpoint's number. (default: one that is made now)")
    var checkpoint: String?

    @Option(help: "Name of the new session.")
    var name: String?

    @OptionGroup
    var options: ClientOptions

    func perform(_ peer: Peer) throws(CommandFailure) {
        let path = try peer.session(session)
        var number = checkpoint
        if number == nil {
            let made = try peer.makeCheckpoint(path, name: "fork", keep: false)
            number = try Peer.decode(CheckpointLine.self, from: made).id
        }
        var object: [String: Any] = [:]
        object["name"] = name
        let request = (try? JSONSerialization.data(withJSONObject: object)) ?? Data("{}".utf8)
        let body = try peer.call(
            "POST", "\(path)/checkpoints/\(percentEncoded(number ?? ""))/fork", [UInt8](request))
        if options.json { return printLine(body) }
        print(try Peer.decode(SessionDetail.self, from: body).id)
    }
}
