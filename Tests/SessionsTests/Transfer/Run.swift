import Foundation
import Sessions
import TestKit
import Testing

/// A way of optimizing whose state is exported.
struct Variant: Sendable, CustomTestStringConvertible {
    var mode: Options.Mode
    var search: Options.LineSearchFunction?
    var dtype: DType
    var history: HistoryDType?
    var shards: Int?
    var isMaximizing = false
    var bounds = BoundsInput()

    var testDescription: String {
        let parts = [
            mode.rawValue, search?.rawValue ?? "fixed", dtype.rawValue, history?.rawValue,
            shards.map { "\($0) shards" }, isMaximizing ? "maximize" : nil,
            bounds.isEmpty ? nil : "bounds", bounds.l1.isNone ? nil : "l1",
        ]
        return parts.compactMap(\.self).joined(separator: " ")
    }

    static let all: [Variant] = [
        Variant(mode: .torch, search: nil, dtype: .float64),
        Variant(mode: .torch, search: nil, dtype: .float32),
        Variant(mode: .torch, search: .strongWolfe, dtype: .float64),
        Variant(mode: .torch, search: .strongWolfe, dtype: .float64, history: .float32),
        Variant(mode: .torch, search: .strongWolfe, dtype: .float32, history: .bfloat16),
        Variant(mode: .torch, search: .strongWolfe, dtype: .float64, shards: 3),
        Variant(mode: .torch, search: .strongWolfe, dtype: .float64, isMaximizing: true),
        Variant(mode: .robust, search: nil, dtype: .float64),
        Variant(mode: .robust, search: .hagerZhang, dtype: .float32),
        Variant(mode: .robust, search: .moreThuente, dtype: .float64, history: .bfloat16),
        Variant(mode: .robust, search: .backtracking, dtype: .float64),
        Variant(mode: .robust, search: .strongWolfe, dtype: .float32, shards: 2),
        Variant(mode: .robust, search: nil, dtype: .float64, bounds: box),
        Variant(mode: .robust, search: .hagerZhang, dtype: .float32, bounds: box),
        Variant(
            mode: .robust, search: .moreThuente, dtype: .float64, history: .float32, bounds: box),
        Variant(mode: .robust, search: .strongWolfe, dtype: .float32, shards: 2, bounds: box),
        Variant(
            mode: .robust, search: nil, dtype: .float64, bounds: BoundsInput(l1: .uniform(0.1))),
        Variant(
            mode: .robust, search: .backtracking, dtype: .float32,
            bounds: BoundsInput(lower: .uniform(-0.5), upper: .uniform(2), l1: .uniform(0.1))),
    ]

    /// Two numbers come to lie on their bounds.
    private static let box = BoundsInput(lower: .uniform(-0.5), upper: .each([2, 0.8, 0.7, 2, 2]))

    /// Two groups, of which the second is frozen between the first two steps of a run.
    var request: CreateRequest {
        var request = CreateRequest(parameters: [
            ParameterInput(name: "w", shape: [2, 2], values: [-1.2, 1, -1.2, 1]),
            ParameterInput(name: "b", shape: [], values: [0.5]),
        ])
        request.name = "moved"
        request.labels = ["team": "flow"]
        request.dtype = dtype
        request.shardCount = shards
        request.options.lr = mode == .torch && search == nil ? 0.001 : 1
        request.options.mode = mode
        request.options.lineSearch = .some(search)
        request.options.historySize = 4
        request.options.historyDType = history
        request.options.maxIterations = 12
        request.options.maximize = isMaximizing
        if !bounds.isEmpty {
            for index in request.parameters.indices {
                request.parameters[index].bounds = part(index)
            }
        }
        return request
    }

    /// The bounds of a parameter tensor.
    private func part(_ index: Int) -> BoundsInput {
        var part = bounds
        if case .each(let upper) = bounds.upper {
            part.upper = .each(Array(index == 0 ? upper.prefix(4) : upper.suffix(1)))
        }
        return part
    }

    /// The loss and its gradient: Rosenbrock's function of the first four numbers, and a parabola.
    func evaluate(_ x: [Double]) -> (loss: Double, gradient: [Double]) {
        var (loss, gradient) = Problem.rosenbrock(4).evaluate(Array(x.prefix(4)))
        for value in x.dropFirst(4) {
            loss += value * value / 2
            gradient.append(value)
        }
        return isMaximizing ? (-loss, gradient.map { -$0 }) : (loss, gradient)
    }
}

/// Drives one session, in a service of its own.
struct Run {
    let variant: Variant
    let service: SessionService
    let id: SessionID

    init(_ variant: Variant) async throws {
        self.variant = variant
        service = makeService()
        id = try await service.create(variant.request).value.record.id
    }

    /// A copy in another service, by way of a file.
    init(importing file: SessionFile, _ variant: Variant) async throws {
        self.variant = variant
        service = makeService()
        id = try await service.insert(try imported(file)).value.record.id
    }

    func export() async throws -> SessionFile { try await service.export(id).0 }

    func turn() async throws -> Turn { try await service.turn(id) }

    /// Answers what is pending, or begins a step; every seventh evaluation fails. With shards, one
    /// event is one shard.
    func advance() async throws {
        let turn = try await turn()
        guard let number = turn.evaluation else {
            _ = try await service.beginStep(id)
            return
        }
        let (loss, gradient) = variant.evaluate(turn.x.doubles)
        guard let shards = turn.shards else {
            let result: TellRequest =
                number % 7 == 6
                ? .failed(reason: "no mesh") : .evaluated(loss: loss, gradient: .flat(gradient))
            _ = try await service.tell(id, evaluation: number, result)
            return
        }
        // Of the shards from the last to the first, the next.
        let shard = shards.count - 1 - shards.delivered.count
        let part = 1 / Double(shards.count)
        let result: TellRequest =
            number % 7 == 6 && shard == 1
            ? .failed(reason: "no mesh")
            : .evaluated(loss: part * loss, gradient: .flat(gradient.map { part * $0 }))
        _ = try await service.tellShard(id, evaluation: number, shard: shard, result)
    }
}

func imported(_ file: SessionFile, limits: Limits = Limits()) throws -> SessionImport {
    var read = try SessionImport(file.header, limits: limits)
    for (entry, octets) in zip(file.header.entries, file.contents) {
        read.take(entry.name, try octets.bytes())
    }
    return read
}

/// What a client sees of a session, apart from its name.
struct Seen: Equatable {
    var phase: SessionPhase
    var step: StepNumber
    var evaluation: EvaluationNumber?
    var x: [UInt8]
    /// As text, in which NaN equals NaN.
    var result: String
    var shards: ShardProgress?

    init(_ turn: Turn) {
        phase = turn.phase
        step = turn.step
        evaluation = turn.evaluation
        x = turn.x.bytes
        result = "\(String(describing: turn.result))".replacing("-nan", with: "nan")
        shards = turn.shards
    }
}
