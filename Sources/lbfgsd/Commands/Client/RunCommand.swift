internal import ArgumentParser
internal import Foundation

struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Minimize what a program computes that knows only files.",
        discussion: """
              lbfgsd run --x0 -1.2,1 -- ./simulate {x} {gradient}

            Writes the point into {x}, runs the program, reads the gradient from {gradient} and \
            the loss from {loss}, or as the last number that the program prints, and goes on \
            until it has converged. A suffix chooses a file's form: {x.npy}, {gradient.raw}; \
            without one it is text, a number a line. {evaluation} is the evaluation's number.

            The session is kept in the directory NAME.lbfgsd, or by a daemon with --url or \
            $LBFGSD_URL. After a crash, or kill -9, the same command goes on with the evaluation \
            that was not told yet.

            A program that fails, or a loss or gradient that isn't finite, makes the point an \
            infeasible one: the search comes back closer. Status 0 means converged.
            """)

    @Option(help: "Name of the session, which is gone on with if it is there.")
    var name = "run"

    @OptionGroup
    var problem: ProblemOptions

    @OptionGroup
    var peer: PeerOptions

    @Option(
        help: ArgumentHelp(
            "Directory of the session, in place of a daemon. (default: NAME.lbfgsd)",
            valueName: "directory"))
    var data: String?

    @Option(
        name: .shortAndLong,
        help: ArgumentHelp("File for the best point. (default: standard output)", valueName: "file")
    )
    var output: String?

    @Option(help: ArgumentHelp("Stop after so many evaluations.", valueName: "count"))
    var maxEvaluations: Int?

    @Option(
        help: ArgumentHelp(
            "Minimize from so many starts in the box of --lower and --upper, and keep the best.",
            valueName: "count"))
    var starts: Int?

    @Option(help: ArgumentHelp("With --starts, the seed of Sobol's points.", valueName: "number"))
    var seed = 0

    @Option(
        help: ArgumentHelp("With --starts, copies of the program at a time.", valueName: "count"))
    var parallel = 1

    @Flag(help: "End when the program fails, and tell nothing: the next run repeats it.")
    var stopOnFailure = false

    @Argument(parsing: .postTerminator, help: "The program and its arguments.")
    var command: [String]

    func validate() throws {
        guard !command.isEmpty else {
            throw ValidationError("give the program after --, such as -- ./simulate {x} {gradient}")
        }
        guard starts != nil || parallel == 1 else {
            throw ValidationError("--parallel needs --starts: one start has one point at a time")
        }
        guard 1...1024 ~= parallel else {
            throw ValidationError("--parallel must be from 1 to 1024, not \(parallel)")
        }
        guard starts == nil || maxEvaluations == nil else {
            throw ValidationError("--max-evaluations is for one start")
        }
        let places = try EvaluationFiles.places(in: command)
        for what in ["x", "gradient"] where places[what] == nil {
            throw ValidationError("the program's arguments must have {\(what)}")
        }
    }

    func run() async throws {
        do throws(CommandFailure) {
            let isRemote =
                peer.url != nil || ProcessInfo.processInfo.environment["LBFGSD_URL"] != nil
            let (run, output) = (self, self.output)
            try EvaluationFiles.requireProgram(command[0])
            let result: StepOutcome
            if isRemote, data == nil {
                result = try run.minimize(peer.peer(), output: output)
            } else {
                guard peer.url == nil else {
                    throw CommandFailure(.usage, "--data is in place of a daemon: leave out --url")
                }
                let directory = data ?? "\(name).lbfgsd"
                // What is wrong with the problem is said before a directory is made.
                if !DataLocation(directory).exists { _ = try document() }
                result = try await OfflineDaemon.run(
                    directory: directory, tenant: "default", isCreating: true
                ) { peer throws(CommandFailure) in
                    try run.minimize(peer, output: output)
                }
            }
            note(sentence(result))
            guard result.converged else { throw CommandFailure(.failure, "not converged") }
        } catch {
            throw error.report()
        }
    }

    /// The body of the request for the session, or for the ensemble.
    private func document() throws(CommandFailure) -> [UInt8] {
        guard let starts else { return try problem.document(name: name, defaults: Self.defaults) }
        return try problem.ensembleDocument(
            name: name, starts: starts, seed: seed, defaults: Self.defaults)
    }

    /// One step, with limits that only a mistake reaches.
    private static var defaults: [String: Any] {
        ["mode": "robust", "max_iter": 1_000_000, "max_eval": 1_000_000]
    }

    private func minimize(_ peer: Peer, output: String?) throws(CommandFailure) -> StepOutcome {
        if starts != nil { return try minimizeFromMany(peer, output: output) }
        let files = try EvaluationFiles(command)
        let path = try findOrCreate(peer)
        defer { files.remove() }
        // What ended without convergence is tried again: the program may have been mended.
        let before = try peer.call(SessionDetail.self, "GET", path)
        var hasConverged = false
        if before.state == "idle", before.step > 0 {
            let step = try peer.call(StepAnswer.self, "GET", "\(path)/steps/\(before.step)")
            hasConverged = step.result?.converged ?? false
        }
        var turn = try peer.nextTurn(path, begins: !hasConverged)
        while let evaluation = turn.evaluation {
            if let maxEvaluations, evaluation.number > maxEvaluations {
                _ = try peer.call("POST", "\(path)/stop")
                break
            }
            turn = try evaluate(turn, evaluation.number, peer, path, files)
            if turn.evaluation == nil { turn = try peer.nextTurn(path, begins: false) }
        }
        let step = try peer.call(TurnAnswer.self, "GET", "\(path)/evaluation").step
        try writeBest(peer, path, output: output)
        return try result(of: step, peer, path)
    }

    private func result(of step: Int, _ peer: Peer, _ path: String) throws(CommandFailure)
        -> StepOutcome
    {
        guard let result = try peer.call(StepAnswer.self, "GET", "\(path)/steps/\(step)").result
        else { throw CommandFailure(.failure, "somebody else has begun a step of the session") }
        return result
    }

    private func minimizeFromMany(
        _ peer: Peer, output: String?
    ) throws(CommandFailure) -> StepOutcome {
        let run = try ManyStarts(
            peer, name: name, document: document(), command: command, stopsOnFailure: stopOnFailure)
        let ensemble = try run.minimize(copies: parallel)
        let members = ensemble.members
        note(
            "\(members.ended) starts have ended, \(members.abandoned) were abandoned, after "
                + "\(ensemble.evaluations) evaluations")
        guard let best = ensemble.best else {
            throw CommandFailure(.failure, "no start has a finite loss")
        }
        let path = "/v1/sessions/\(best.session)"
        try writeBest(peer, path, output: output)
        return try result(of: 1, peer, path)
    }

    private func writeBest(_ peer: Peer, _ path: String, output: String?) throws(CommandFailure) {
        let file = VectorFile(output ?? "-")
        if file.form == .text {
            let turn = try peer.call(TurnAnswer.self, "GET", "\(path)/evaluation")
            try file.write(turn.x ?? [])
        } else {
            try file.write(peer.call("GET", "\(path)/params", accept: file.form.mediaType))
        }
    }

    private func findOrCreate(_ peer: Peer) throws(CommandFailure) -> String {
        if let known = try peer.sessionNamed(name) {
            note("goes on with session \(name) at evaluation \(known.evaluation)")
            return "/v1/sessions/\(known.id)"
        }
        let body = try peer.call("POST", "/v1/sessions", document())
        return "/v1/sessions/\(try Peer.decode(SessionDetail.self, from: body).id)"
    }

    private func evaluate(
        _ turn: TurnAnswer, _ number: Int, _ peer: Peer, _ path: String, _ files: EvaluationFiles
    ) throws(CommandFailure) -> TurnAnswer {
        try files.removeResults()
        try peer.writePoint(of: turn, path, to: files.point)
        let began = ContinuousClock.now
        let outcome = try files.runProgram(evaluation: number)
        let end = String(format: " (%.2f s)", (ContinuousClock.now - began) / .seconds(1))
        switch outcome {
        case .computed(let loss):
            note("evaluation \(number): loss \(shortText(loss))\(end)")
            let body = try peer.tell(path, evaluation: number, loss: loss, gradient: files.gradient)
            return try Peer.decode(TurnAnswer.self, from: body)
        case .failed(let reason):
            if stopOnFailure {
                throw CommandFailure(.failure, "evaluation \(number) failed: \(reason)")
            }
            note("evaluation \(number): \(reason)\(end)")
            let body = try peer.tell(path, evaluation: number, failed: reason)
            return try Peer.decode(TurnAnswer.self, from: body)
        }
    }
}
