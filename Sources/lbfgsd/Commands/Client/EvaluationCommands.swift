internal import ArgumentParser
internal import Foundation

extension Peer {
    /// The session's turn, with the next step begun if the last one has ended at a limit, or if
    /// none has run.
    func nextTurn(_ path: String, begins: Bool) throws(CommandFailure) -> TurnAnswer {
        let turn = try call(TurnAnswer.self, "GET", "\(path)/evaluation")
        guard turn.evaluation == nil else { return turn }
        let goesOn: Bool
        if turn.step == 0 {
            goesOn = true
        } else {
            let last = try call(StepAnswer.self, "GET", "\(path)/steps/\(turn.step)").result
            goesOn = ["max_iterations", "max_evaluations"].contains(last?.reason ?? "")
        }
        guard begins || goesOn else { return turn }
        return try call(TurnAnswer.self, "POST", "\(path)/steps", Array("{}".utf8))
    }

    /// Writes the point of a turn into a file.
    func writePoint(of turn: TurnAnswer, _ path: String, to file: VectorFile) throws(CommandFailure)
    {
        if file.form == .text {
            return try file.write(turn.evaluation?.x ?? [])
        }
        try file.write(call("GET", "\(path)/evaluation", accept: file.form.mediaType))
    }

    /// Tells loss and gradient; the gradient is read from the file.
    func tell(
        _ path: String, evaluation: Int, loss: Double, gradient file: VectorFile
    ) throws(CommandFailure) -> [UInt8] {
        let target = "\(path)/evaluations/\(evaluation)/result"
        if file.form == .text {
            let body =
                "{\"loss\": \(jsonText(loss)), \"gradient\": \(jsonText(try file.numbers()))}"
            return try call("PUT", target, Array(body.utf8))
        }
        return try call(
            "PUT", "\(target)?loss=\(percentEncoded(exactText(loss)))", file.read(),
            type: file.form.mediaType)
    }

    func tell(
        _ path: String, evaluation: Int, failed reason: String
    ) throws(CommandFailure) -> [UInt8] {
        let body = try? JSONSerialization.data(withJSONObject: ["failed": reason])
        return try call(
            "PUT", "\(path)/evaluations/\(evaluation)/result", [UInt8](body ?? Data("{}".utf8)))
    }
}

struct AskCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "ask",
        abstract: "Write the point that a session waits for.",
        discussion: """
            Writes the point to --output and prints the evaluation's number; without --output it \
            prints the point, a number a line. The file's form follows from its name: .npy, .raw \
            (little-endian numbers of the session's type), else text.

              lbfgsd ask heat --output x.txt

            A step that ended at its limit of iterations or evaluations goes on with the next one. \
            Status 3 means that the session waits for nothing: why is printed.
            """)

    @Argument(help: "The session's identifier or name.")
    var session: String

    @Option(name: .shortAndLong, help: ArgumentHelp("File for the point.", valueName: "file"))
    var output: String?

    @Flag(help: "Begin a step also where the last one has ended for good.")
    var begin = false

    @OptionGroup
    var options: ClientOptions

    func perform(_ peer: Peer) throws(CommandFailure) {
        let path = try peer.session(session)
        let turn = try peer.nextTurn(path, begins: begin)
        guard let evaluation = turn.evaluation else {
            let last = try peer.call(StepAnswer.self, "GET", "\(path)/steps/\(turn.step)")
            throw CommandFailure(
                .ended, "\(session) waits for nothing: \(last.result.map(sentence) ?? "it is idle")"
            )
        }
        if options.json {
            return printLine(try peer.call("GET", "\(path)/evaluation"))
        }
        try peer.writePoint(of: turn, path, to: VectorFile(output ?? "-"))
        if output != nil { print(evaluation.number) }
    }
}

struct TellCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "tell",
        abstract: "Tell a session the loss and the gradient at its point.",
        discussion: """
              lbfgsd tell heat --loss 0.25 --gradient g.txt

            The gradient's form follows from the file's name, as with `lbfgsd ask`. Telling the \
            same again changes nothing, so that a job may be run twice. Prints what the session \
            waits for next.
            """)

    @Argument(help: "The session's identifier or name.")
    var session: String

    @Option(
        help: ArgumentHelp(
            "The evaluation's number. (default: the one that is waited for)", valueName: "number"))
    var evaluation: Int?

    @Option(parsing: .unconditional, help: "The loss.")
    var loss: String?

    @Option(help: ArgumentHelp("File of the gradient; - is standard input.", valueName: "file"))
    var gradient: String?

    @Option(help: ArgumentHelp("There is no result, for this reason.", valueName: "reason"))
    var failed: String?

    @OptionGroup
    var options: ClientOptions

    func validate() throws {
        if failed != nil {
            guard loss == nil, gradient == nil else {
                throw ValidationError("--failed is in place of --loss and --gradient")
            }
        } else {
            guard let loss, gradient != nil else {
                throw ValidationError("give --loss and --gradient, or --failed")
            }
            guard Double(fortran: loss) != nil else {
                throw ValidationError("--loss must be a number, not \(loss)")
            }
        }
    }

    func perform(_ peer: Peer) throws(CommandFailure) {
        let path = try peer.session(session)
        var number = evaluation
        if number == nil {
            number =
                try peer.call(TurnAnswer.self, "GET", "\(path)/evaluation").evaluation?.number
        }
        guard let number else {
            throw CommandFailure(.failure, "\(session) waits for no evaluation")
        }
        let body: [UInt8]
        if let failed {
            body = try peer.tell(path, evaluation: number, failed: failed)
        } else {
            body = try peer.tell(
                path, evaluation: number, loss: Double(fortran: loss ?? "") ?? .nan,
                gradient: VectorFile(gradient ?? "-"))
        }
        if options.json { return printLine(body) }
        let turn = try Peer.decode(TurnAnswer.self, from: body)
        if let next = turn.evaluation {
            print("evaluation \(next.number)")
        } else {
            print(turn.result.map(sentence) ?? "idle")
        }
    }
}

struct StopCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "stop", abstract: "End a session's step now, at its best point.")

    @Argument(help: "The session's identifier or name.")
    var session: String

    @OptionGroup
    var options: ClientOptions

    func perform(_ peer: Peer) throws(CommandFailure) {
        let body = try peer.call("POST", try peer.session(session) + "/stop")
        if options.json { return printLine(body) }
        let turn = try Peer.decode(TurnAnswer.self, from: body)
        print(turn.result.map(sentence) ?? "no step was running")
    }
}
