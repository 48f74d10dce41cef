import Foundation
import LBFGS
import TestKit
import Testing

/// Stores hold snapshots for years: the names under which scalars and vectors are stored, and their
/// values, must stay what they were when `Fixtures/snapshot-format.txt` was recorded.
struct SnapshotFormatTests {
    @Test func `snapshots are stored as they were when the fixture was recorded`() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../Fixtures/snapshot-format.txt")
        let recorded = try String(contentsOf: file, encoding: .utf8).split(separator: "\n")
        let lines = try snapshotLines()
        #expect(recorded.count == lines.count)
        for (line, wanted) in zip(lines, recorded) { #expect(line == String(wanted)) }
    }

    @Test func `stored scalars are read back as they were`() throws {
        for configuration in configurations {
            try forEachSnapshot(configuration) { snapshot in
                let stored = try PropertyListEncoder().encode(snapshot.scalars)
                let read = try PropertyListDecoder().decode(
                    OptimizerSnapshot<Double>.Scalars.self, from: stored)
                // As text, because a slope that is NaN equals nothing.
                #expect(try text(read) == text(snapshot.scalars))
            }
        }
    }
}

private struct Configuration: Sendable {
    var name: String
    var problem: Problem
    var options: Options
    /// Evaluations that are answered as infeasible.
    var isInfeasible: @Sendable (Int) -> Bool = { _ in false }
}

private let configurations: [Configuration] = {
    var all = [
        Configuration(
            name: "torch without a search", problem: .quadratic(3, condition: 10),
            options: Options(lr: 0.1, maxIterations: 4)),
        Configuration(
            name: "torch with a search", problem: .rosenbrock(2),
            options: Options(maxIterations: 6, historySize: 3, lineSearch: .strongWolfe),
            isInfeasible: { $0 % 5 == 3 }),
        Configuration(
            name: "torch in coefficients", problem: .rosenbrock(1100),
            options: Options(maxIterations: 3, lineSearch: .strongWolfe)),
    ]
    for search in Options.LineSearchFunction.allCases {
        all.append(
            Configuration(
                name: "robust \(search.rawValue)", problem: .rosenbrock(4),
                options: Options(maxIterations: 9, lineSearch: search, mode: .robust),
                isInfeasible: { $0 % 6 == 2 || (20..<24).contains($0) }))
    }
    return all
}()

/// Calls `body` with the snapshot at each evaluation of two steps, and after them.
private func forEachSnapshot(
    _ configuration: Configuration, _ body: (OptimizerSnapshot<Double>) throws -> Void
) throws {
    let problem = configuration.problem
    var optimizer = try Optimizer(problem.start, options: configuration.options)
    var evaluation = 0
    for _ in 0..<2 {
        var directive = optimizer.beginStep()
        while case .evaluate = directive {
            try body(optimizer.snapshot)
            evaluation += 1
            if configuration.isInfeasible(evaluation) {
                directive = optimizer.advanceInfeasible()
            } else {
                let (loss, gradient) = problem.evaluate(at: optimizer.trialPoint)
                directive = optimizer.advance(loss: loss, gradient: gradient)
            }
        }
        try body(optimizer.snapshot)
    }
}

/// A line for each snapshot: a fingerprint of everything that it stores. The scalars of the first
/// few are spelled out, so that a difference can be read.
private func snapshotLines() throws -> [String] {
    var lines: [String] = []
    for configuration in configurations {
        var index = 0
        try forEachSnapshot(configuration) { snapshot in
            let scalars = try text(snapshot.scalars)
            var fingerprint = Fingerprint()
            for octet in scalars.utf8 { fingerprint.add(Double(octet)) }
            var vectors: [String] = []
            for (name, vector) in snapshot.vectors.sorted(by: { $0.key < $1.key }) {
                vectors.append(name)
                for number in vector { fingerprint.add(number) }
            }
            for pair in snapshot.pairs {
                for number in pair.s + pair.y + pair.sy + pair.yy { fingerprint.add(number) }
            }
            let print = String(fingerprint.value, radix: 16)
            lines.append(
                "\(configuration.name) \(index) \(print) \(vectors.joined(separator: ","))")
            if index < 4 { lines.append(scalars) }
            index += 1
        }
    }
    return lines
}

/// The scalars as JSON, with sorted keys.
private func text(_ scalars: OptimizerSnapshot<Double>.Scalars) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
        positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
    return String(decoding: try encoder.encode(scalars), as: UTF8.self)
}
