import LBFGS
import TestKit

/// A worker as `RemoteCommand` describes it, with a slice of the vectors.
private struct Worker {
    let range: Range<Int>
    var x: [Double]
    var d: [Double] = []
    var g: [Double] = []
    var h: [Double] = []
    var t = 0.0
    var pairs: [(s: [Double], y: [Double])] = []
    var trials: [Double: [Double]] = [:]
    var saved: [Double] = []

    init(_ start: [Double], _ range: Range<Int>) {
        self.range = range
        x = Array(start[range])
    }

    private func point(at stepLength: Double) -> [Double] {
        stepLength == 0 ? x : zip(x, d).map { $0 + stepLength * $1 }
    }

    /// Returns the slice of the point to evaluate.
    mutating func execute(_ command: RemoteCommand) -> [Double] {
        if let save = command.save { saved = point(at: save) }
        if let accept = command.accept {
            if accept != 0 {
                x = point(at: accept)
                t = accept
            }
            g = trials[accept] ?? g
            trials = [:]
        }
        if command.restore { x = saved }
        if command.clear { pairs = [] }
        if command.push { pairs.append((d.map { t * $0 }, zip(g, h).map { $0 - $1 })) }
        if command.drop { pairs.removeFirst() }
        if let coefficients = command.coefficients {
            d = g.map { coefficients.gradient * $0 }
            for (index, pair) in pairs.enumerated() {
                for i in d.indices {
                    d[i] += coefficients.steps[index] * pair.s[i]
                    d[i] += coefficients.changes[index] * pair.y[i]
                }
            }
            h = g
        }
        if let move = command.move {
            x = point(at: move)
            t = move
        }
        trials = trials.filter { command.retain.contains($0.key) }
        return point(at: command.stepLength ?? 0)
    }

    mutating func report(_ gradient: [Double], at stepLength: Double) -> RemoteGradient {
        trials[stepLength] = gradient
        var row = RemoteGradient(pairCount: pairs.count)
        let change = h.isEmpty ? gradient.map { _ in 0 } : zip(gradient, h).map { $0 - $1 }
        for (index, pair) in pairs.enumerated() {
            row.stepGradient[index] = dot(pair.s, gradient)
            row.changeGradient[index] = dot(pair.y, gradient)
            row.stepChange[index] = dot(pair.s, change)
            row.changeChange[index] = dot(pair.y, change)
        }
        if !d.isEmpty {
            row.gradientDirection = dot(gradient, d)
            row.startDirection = dot(h, d)
            row.changeDirection = dot(change, d)
            row.directionSquared = dot(d, d)
            row.directionNormInf = d.map(abs).max() ?? 0
        }
        row.changeSquared = dot(change, change)
        row.changeDotGradient = dot(change, gradient)
        row.gradientSquared = dot(gradient, gradient)
        row.gradientNormInf = gradient.map(abs).max() ?? 0
        row.gradientNorm1 = gradient.map(abs).reduce(0, +)
        return row
    }

    private func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).map(*).reduce(0, +) }
}

/// A run of a problem on workers that share its vectors.
struct SimulatedWorkers {
    private var workers: [Worker]
    private let problem: Problem
    /// Every point that was evaluated.
    private(set) var points: [[Double]] = []
    /// Every command.
    private(set) var commands: [RemoteCommand] = []

    init(_ problem: Problem, count: Int) {
        self.problem = problem
        let n = problem.start.count
        workers = (0..<count).map {
            Worker(problem.start, $0 * n / count..<($0 + 1) * n / count)
        }
    }

    /// The workers' x.
    var parameters: [Double] { workers.flatMap(\.x) }

    /// Executes the newest command, and evaluates if it wants that.
    mutating func perform(
        _ command: RemoteCommand
    ) -> (loss: Double, gradient: RemoteGradient)? {
        commands.append(command)
        let point = workers.indices.flatMap { workers[$0].execute(command) }
        guard let stepLength = command.stepLength else { return nil }
        points.append(point)
        let (loss, gradient) = problem.evaluate(at: point)
        var sum: RemoteGradient?
        for index in workers.indices {
            let part = workers[index].report(
                Array(gradient[workers[index].range]), at: stepLength)
            sum?.add(part)
            sum = sum ?? part
        }
        guard let sum else { return nil }
        return (loss, sum)
    }

    /// Runs one step to its end.
    mutating func step(
        _ optimizer: inout RemoteOptimizer, resuming: Bool = false
    ) throws -> StepResult {
        var directive = optimizer.beginStep()
        while true {
            if resuming { optimizer = try RemoteOptimizer(optimizer.snapshot) }
            let answer = perform(optimizer.command)
            switch directive {
            case .finished(let result):
                return result
            case .evaluate:
                guard let (loss, gradient) = answer else { throw NothingEvaluated() }
                directive = optimizer.advance(loss: loss, gradient: gradient)
            }
        }
    }

    struct NothingEvaluated: Error {}
}
