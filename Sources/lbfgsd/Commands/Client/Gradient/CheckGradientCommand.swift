internal import ArgumentParser
internal import Ensembles
internal import Foundation

struct CheckGradientCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check-gradient",
        abstract: "Compare the gradient that a program writes with differences of its loss.",
        discussion: """
              lbfgsd check-gradient --x0 -1.2,1 -- ./simulate {x} {gradient}

            Runs the program as `lbfgsd run` does, at the start and at some fifty points around \
            it, in directions chosen at random that have every number; so it notices one wrong \
            number among many. The noise of the loss is estimated first (Moré and Wild 2011), and \
            steps are chosen by it.

            The verdict is right, wrong, or unclear where the differences are too imprecise: near \
            a minimum, or with much noise. Status 0 means right, 1 anything else.
            """)

    @OptionGroup
    var start: StartOptions

    @Option(help: ArgumentHelp("How many directions.", valueName: "count"))
    var directions = 4

    @Option(help: ArgumentHelp("The seed of the directions.", valueName: "number"))
    var seed = 0

    @Option(
        help: ArgumentHelp(
            "Noise of the loss, relative to it. (default: estimated)", valueName: "number"))
    var noise: Double?

    @Option(
        help: ArgumentHelp(
            "Relative error from which the gradient is wrong. (default: the square root of the "
                + "noise, 1e-6 at least)", valueName: "number"))
    var tolerance: Double?

    @Argument(parsing: .postTerminator, help: "The program and its arguments.")
    var command: [String]

    /// Differences whose relative error may be more than this decide nothing.
    private static let imprecise = 0.05

    func validate() throws {
        guard !command.isEmpty else {
            throw ValidationError("give the program after --, such as -- ./simulate {x} {gradient}")
        }
        guard 1...1000 ~= directions, seed >= 0 else {
            throw ValidationError("--directions must be from 1 to 1000, and --seed at least 0")
        }
        guard ["float64", "float32"].contains(start.dtype) else {
            throw ValidationError("--dtype must be float64 or float32, not \(start.dtype)")
        }
        let places = try EvaluationFiles.places(in: command)
        for what in ["x", "gradient"] where places[what] == nil {
            throw ValidationError("the program's arguments must have {\(what)}")
        }
    }

    func run() async throws {
        do throws(CommandFailure) {
            try EvaluationFiles.requireProgram(command[0])
            let (check, around) = (self, try CheckedStart(start))
            let isRight = try await OfflineDaemon.run(
                directory: ":memory:", tenant: "default", isCreating: true
            ) { peer throws(CommandFailure) in
                try check.compare(around, peer)
            }
            guard isRight else { throw CommandFailure(.failure, "the gradient is not right") }
        } catch {
            throw error.report()
        }
    }

    /// Prints what was found. Returns whether the gradient is right.
    private func compare(_ around: CheckedStart, _ peer: Peer) throws(CommandFailure) -> Bool {
        let files = try EvaluationFiles(command)
        defer { files.remove() }
        let points = try CheckedPoints(
            peer, count: around.x.count, dtype: start.dtype, files: files)
        var runs = 0
        func loss(_ x: [Double]) throws(CommandFailure) -> Double {
            try points.write(x)
            try files.removeResults()
            runs += 1
            switch try files.runProgram(evaluation: runs) {
            case .computed(let loss): return loss
            case .failed(let reason):
                note("run \(runs): \(reason)")
                return .nan
            }
        }
        let value = try loss(around.x)
        guard value.isFinite else {
            throw CommandFailure(.failure, "there is no loss at the start: check at another point")
        }
        let gradient = try points.readGradient()
        guard gradient.count == around.x.count else {
            throw CommandFailure(
                .failure,
                "the gradient has \(gradient.count) numbers, the point \(around.x.count)")
        }
        // Escapes no further than this call.
        return try withoutActuallyEscaping(loss) { loss throws(CommandFailure) in
            var probe = GradientProbe(
                x: around.x, value: value, gradient: gradient,
                isSingle: start.dtype == "float32", loss: loss)
            let rows = try differences(&probe, around)
            return report(rows, probe, runs)
        }
    }

    private typealias Row = (difference: GradientProbe.Difference, size: Double)

    private func differences(
        _ probe: inout GradientProbe, _ around: CheckedStart
    ) throws(CommandFailure) -> [Row] {
        var chance = SplitMix64(seed: seed)
        var rows: [Row] = []
        var powers = GradientProbe.sweep
        for number in 0..<directions {
            // Signs at random, times a length at random, so that errors don't cancel each other.
            let direction = around.lengths.map { length in
                let sign = chance.below(2) == 0 ? -1.0 : 1.0
                return length * sign * (0.5 + chance.uniform())
            }
            if number == 0 { try probe.setNoise(noise, along: direction) }
            guard let found = try probe.difference(direction, powers: powers) else {
                throw CommandFailure(
                    .failure, "the loss is not finite around the start: check at another point")
            }
            // Directions of one function have about the same best step.
            if number == 0 { powers = [found.power + 1, found.power, found.power - 1] }
            let squares = zip(probe.gradient, direction).reduce(0) {
                $0 + ($1.0 * $1.1) * ($1.0 * $1.1)
            }
            let size = max(squares.squareRoot(), abs(found.slope + found.residual))
            rows.append((found, size == 0 ? 1 : size))
        }
        return rows
    }

    private func report(_ rows: [Row], _ probe: GradientProbe, _ runs: Int) -> Bool {
        let limit = tolerance ?? max(1e-6, probe.relativeNoise.squareRoot())
        var table = Table("DIRECTION", "G.D", "DIFFERENCE", "STEP", "ERROR", "PRECISION")
        var isWrong = false
        var isImprecise = false
        var largest = 0.0
        for (index, row) in rows.enumerated() {
            let (error, precision) = (
                abs(row.difference.residual) / row.size, row.difference.precision / row.size
            )
            isWrong = isWrong || error > max(limit, GradientProbe.safety * precision)
            isImprecise = isImprecise || precision > Self.imprecise
            largest = max(largest, error)
            table.add(
                "\(index + 1)", shortText(row.difference.slope),
                shortText(row.difference.slope + row.difference.residual),
                String(format: "%.2g", row.difference.step), String(format: "%.2g", error),
                String(format: "%.2g", precision))
        }
        let verdict = isWrong ? "wrong" : isImprecise ? "unclear" : "right"
        print(table.text)
        print(
            String(
                format: "%@: relative error %.2g (wrong from %.2g on), noise of the loss %.2g, ",
                verdict, largest, limit, probe.relativeNoise) + "\(runs) runs")
        return verdict == "right"
    }
}
