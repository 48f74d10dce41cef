internal import ArgumentParser
internal import Foundation
internal import Glibc

extension TerminalPlot {
    /// For the terminal that the command writes to.
    init(_ curves: [Curve]) {
        let size = terminalSize()
        self.init(curves, columns: size.columns - 1, rows: max(6, min(20, size.rows - 6)))
    }

    var text: String { text(isColoured: isTerminal(STDOUT_FILENO)) }
}

extension [TraceLine] {
    /// Loss by evaluation.
    var losses: [(x: Double, y: Double)] {
        compactMap { line in line.loss.map { (Double(line.evaluation), $0) } }
    }
}

struct TraceCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "trace", abstract: "Print or draw a session's evaluations.")

    @Argument(help: "The session's identifier or name.")
    var session: String

    @Flag(help: "Draw the loss in the terminal.")
    var plot = false

    @Flag(help: "Print CSV with every digit.")
    var csv = false

    @OptionGroup
    var options: ClientOptions

    func perform(_ peer: Peer) throws(CommandFailure) {
        let path = try peer.session(session)
        if csv {
            print("evaluation,step,iteration,loss,gradient_norm_inf,step_length")
            return try peer.forEachTraceLine(path, from: 1) { point, _ in
                let loss = point.loss.map { exactText($0) } ?? ""
                let norm = point.gradientNormInf.map { exactText($0) } ?? ""
                print(
                    "\(point.evaluation),\(point.step),\(point.iteration),\(loss),\(norm),"
                        + exactText(point.stepLength))
            }
        }
        if options.json { return try peer.forEachTraceLine(path, from: 1) { print($1) } }
        let points = try peer.trace(path)
        if plot { return print(TerminalPlot([.init(name: session, points: points.losses)]).text) }
        var table = Table("EVALUATION", "STEP", "ITERATION", "LOSS", "GRADIENT", "STEP LENGTH")
        for point in points {
            table.add(
                String(point.evaluation), String(point.step), String(point.iteration),
                point.loss.map { shortText($0) } ?? "failed", shortText(point.gradientNormInf),
                shortText(point.stepLength))
        }
        print(table.isEmpty ? "no evaluations" : table.text)
    }
}

struct WatchCommand: ClientCommand {
    static let configuration = CommandConfiguration(
        commandName: "watch",
        abstract: "Print a session's evaluations as they happen.",
        discussion: """
            Asks twice a second. With --until-idle it ends when no step runs, else when the \
            session is deleted; with --retry it goes on after a restart of the daemon, with the \
            evaluation after the last that it has printed.
            """)

    @Argument(help: "The session's identifier or name.")
    var session: String

    @Flag(help: "Begin with the first evaluation, not with the next.")
    var all = false

    @Flag(help: "End when no step runs.")
    var untilIdle = false

    @OptionGroup
    var options: ClientOptions

    func perform(_ peer: Peer) throws(CommandFailure) {
        let path = try peer.session(session)
        var next = 1
        if !all {
            let turn = try peer.call(TurnAnswer.self, "GET", "\(path)/evaluation")
            let newest = try peer.call(SessionDetail.self, "GET", path).evaluation
            // The one that is asked for is still to come.
            next = turn.evaluation?.number ?? newest + 1
        }
        if !options.json { print("EVALUATION  STEP  ITERATION  LOSS          GRADIENT") }
        while true {
            let turn = try peer.call(TurnAnswer.self, "GET", "\(path)/evaluation")
            try peer.forEachTraceLine(path, from: next) { point, line in
                options.json ? print(line) : show(point)
                next = point.evaluation + 1
            }
            // Seen at once also where standard output is a pipe.
            fflush(nil)
            if untilIdle, turn.evaluation == nil {
                if let result = turn.result { note(sentence(result)) }
                return
            }
            Thread.sleep(forTimeInterval: 0.5)
        }
    }

    private func show(_ point: TraceLine) {
        let cells = [
            (String(point.evaluation), 10), (String(point.step), 4), (String(point.iteration), 9),
            (point.loss.map { shortText($0) } ?? "failed", 12),
            (shortText(point.gradientNormInf), 8),
        ]
        print(
            cells.map { text, width in
                text + String(repeating: " ", count: max(0, width - text.count))
            }.joined(separator: "  "))
    }
}
