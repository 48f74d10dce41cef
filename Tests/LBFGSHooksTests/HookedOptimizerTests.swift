import LBFGS
import LBFGSHooks
import Testing

/// The calls of one optimizer's hooks, in order.
final class Calls {
    var names: [String] = []
}

private struct Refusal: Error, Equatable {}

private func square(_ point: [Double]) -> (loss: Double, gradient: [Double]) {
    (0.5 * point.reduce(0) { $0 + $1 * $1 }, point)
}

private func make(
    _ parameters: [Double] = [4], maxIterations: Int = 1
) throws -> HookedOptimizer<Double> {
    HookedOptimizer(
        try Optimizer(parameters, options: Options(maxIterations: maxIterations)))
}

@Suite("An optimizer's own hooks")
struct HookedOptimizerTests {
    // The orders here and in GlobalHooksTests are those that torch 2.13 printed for the same
    // registrations.

    @Test("a step's hooks are called around it, in order of registration")
    func stepOrder() throws {
        let (optimizer, calls) = (try make(), Calls())
        for name in ["a", "b"] {
            optimizer.registerStepPreHook { _, _ in
                calls.names.append("pre \(name)")
                return nil
            }
            optimizer.registerStepPostHook { _, _ in calls.names.append("post \(name)") }
        }
        try optimizer.step {
            calls.names.append("closure")
            return square($0)
        }
        #expect(calls.names == ["pre a", "pre b", "closure", "post a", "post b"])
    }

    @Test("each kind puts a prepended hook first, the last one at the very front")
    func prepend() throws {
        let (optimizer, calls) = (try make(), Calls())
        for (name, prepend) in [("a", false), ("b", true), ("c", false), ("d", true)] {
            optimizer.registerStepPreHook(prepend: prepend) { _, _ in
                calls.names.append("step.pre \(name)")
                return nil
            }
            optimizer.registerStepPostHook(prepend: prepend) { _, _ in
                calls.names.append("step.post \(name)")
            }
            optimizer.registerStateDictPreHook(prepend: prepend) { _ in
                calls.names.append("dict.pre \(name)")
            }
            optimizer.registerStateDictPostHook(prepend: prepend) { _, _ in
                calls.names.append("dict.post \(name)")
                return nil
            }
            optimizer.registerLoadStateDictPreHook(prepend: prepend) { _, _ in
                calls.names.append("load.pre \(name)")
                return nil
            }
            optimizer.registerLoadStateDictPostHook(prepend: prepend) { _ in
                calls.names.append("load.post \(name)")
            }
        }
        func expect(_ kinds: [String]) {
            let expected = kinds.flatMap { kind in ["d", "b", "a", "c"].map { "\(kind) \($0)" } }
            #expect(calls.names == expected)
            calls.names = []
        }
        try optimizer.step(square)
        expect(["step.pre", "step.post"])
        let dict = try optimizer.stateDict()
        expect(["dict.pre", "dict.post"])
        try optimizer.loadStateDict(dict)
        expect(["load.pre", "load.post"])
    }

    @Test("a pre hook replaces the closure, and the next hooks get the replacement")
    func replacedClosure() throws {
        let (optimizer, calls) = (try make(maxIterations: 9), Calls())
        func shifted(by shift: Double) -> StepArguments<Double> {
            StepArguments { point in
                calls.names.append("shift \(shift)")
                return square(point.map { $0 - shift })
            }
        }
        optimizer.registerStepPreHook { _, _ in shifted(by: 1) }
        optimizer.registerStepPreHook { _, arguments in
            let loss = try arguments.closure([1]).loss
            #expect(loss == 0)
            return nil
        }
        optimizer.registerStepPreHook { _, _ in shifted(by: 2) }
        optimizer.registerStepPostHook { _, arguments in
            let loss = try arguments.closure([2]).loss
            #expect(loss == 0)
        }
        try optimizer.step { _ in throw Refusal() }
        #expect(abs(optimizer.parameters[0] - 2) < 1e-6)
        #expect(calls.names.first == "shift 1.0" && calls.names.last == "shift 2.0")
        #expect(!calls.names.dropFirst().contains("shift 1.0"))
    }

    @Test("a hook sees its optimizer before and after the step, and can set options for it")
    func optimizerInHooks() throws {
        let (optimizer, calls) = (try make(), Calls())
        optimizer.registerStepPreHook { optimizer, _ in
            #expect(!optimizer.isStepping && optimizer.loss == nil)
            optimizer.options.lr = 0.5
            return nil
        }
        optimizer.registerStepPostHook { optimizer, _ in
            #expect(!optimizer.isStepping && optimizer.loss == 8)
            #expect(optimizer.evaluationCount == 1 && optimizer.iterationCount == 1)
            calls.names.append("post")
        }
        try optimizer.step { [unowned optimizer] point in
            #expect(optimizer.isStepping && optimizer.optimizer.trialPoint == point)
            return square(point)
        }
        // lr min(1, 1 / ||g||_1) = 0.125 along -4.
        #expect(optimizer.parameters == [3.5])
        #expect(calls.names == ["post"])
    }

    @Test("the trajectory is the engine's, bit for bit")
    func sameTrajectory() throws {
        var engine = try Optimizer([-1.2, 1.0], options: Options(lineSearch: .strongWolfe))
        let hooked = HookedOptimizer(engine)
        func rosenbrock(_ x: [Double]) -> (loss: Double, gradient: [Double]) {
            let (a, b) = (1 - x[0], x[1] - x[0] * x[0])
            return (a * a + 100 * b * b, [-2 * a - 400 * x[0] * b, 200 * b])
        }
        for _ in 0..<3 {
            let result = engine.step(rosenbrock)
            #expect(try hooked.step(rosenbrock) == result)
            #expect(hooked.optimizer == engine)
        }
    }

    @Test("the engine can be changed between two steps, and keeps what it has learnt")
    func engine() throws {
        let optimizer = try make()
        try optimizer.step(square)
        optimizer.withOptimizer { $0.replaceParameters([8]) }
        #expect(optimizer.parameters == [8] && optimizer.iterationCount == 1)
    }

    @Test("what throws ends the call, and nothing later is called")
    func failures() throws {
        let (optimizer, calls) = (try make([4, 4], maxIterations: 5), Calls())
        let handle = optimizer.registerStepPreHook { _, _ in throw Refusal() }
        optimizer.registerStepPreHook { _, _ in
            calls.names.append("pre")
            return nil
        }
        optimizer.registerStepPostHook { _, _ in calls.names.append("post") }
        #expect(throws: Refusal()) { try optimizer.step(square) }
        #expect(calls.names.isEmpty && optimizer.evaluationCount == 0)

        handle.remove()
        // The second evaluation throws: the step ends at the best point, as the engine's own does.
        var evaluations = 0
        #expect(throws: Refusal()) {
            try optimizer.step { point in
                evaluations += 1
                if evaluations == 2 { throw Refusal() }
                return square(point)
            }
        }
        #expect(calls.names == ["pre"])
        #expect(!optimizer.isStepping && optimizer.parameters == [4, 4])
        try optimizer.step(square)
        #expect(calls.names == ["pre", "pre", "post"])
    }

    @Test("a removed hook is not called again; removing twice removes nothing else")
    func removal() throws {
        let (optimizer, calls) = (try make(), Calls())
        let handles = ["a", "b", "c"].map { name in
            optimizer.registerStateDictPreHook { _ in calls.names.append(name) }
        }
        handles[1].remove()
        handles[1].remove()
        _ = try optimizer.stateDict()
        #expect(calls.names == ["a", "c"])
        let late = optimizer.registerStateDictPreHook { _ in calls.names.append("d") }
        handles[1].remove()
        handles[0].remove()
        calls.names = []
        _ = try optimizer.stateDict()
        #expect(calls.names == ["c", "d"])
        late.remove()
    }

    @Test("a handle may outlive its optimizer, and does not keep it alive")
    func handleAlone() throws {
        var optimizer: HookedOptimizer<Double>? = try make()
        weak let observed = optimizer
        let handle = optimizer?.registerStepPostHook { _, _ in }
        optimizer = nil
        #expect(observed == nil)
        handle?.remove()
    }

    @Test("hooks may register and remove hooks: a kind not yet called takes part at once")
    func registrationInHooks() throws {
        let (optimizer, calls) = (try make(), Calls())
        var once: HookHandle?
        once = optimizer.registerStepPreHook { optimizer, _ in
            calls.names.append("pre")
            once?.remove()
            optimizer.registerStepPreHook { _, _ in
                calls.names.append("next pre")
                return nil
            }
            optimizer.registerStepPostHook { _, _ in calls.names.append("post") }
            return nil
        }
        try optimizer.step(square)
        #expect(calls.names == ["pre", "post"])
        try optimizer.step(square)
        #expect(calls.names == ["pre", "post", "next pre", "post"])
    }
}

@Suite("Hooks of the state dict")
struct StateDictHookTests {
    @Test("the dictionary is made after the pre hooks, and each post hook may replace it")
    func stateDict() throws {
        let optimizer = try make()
        #expect(try optimizer.stateDict() == StateDict(state: nil, options: optimizer.options))
        optimizer.registerStateDictPreHook { $0.options.lr = 0.25 }
        optimizer.registerStateDictPostHook { _, dict in
            #expect(dict.options.lr == 0.25)
            var dict = dict
            dict.options.historySize = 7
            return dict
        }
        optimizer.registerStateDictPostHook { _, dict in
            #expect(dict.options.historySize == 7)
            return nil
        }
        try optimizer.step(square)
        let dict = try optimizer.stateDict()
        #expect(dict.options.lr == 0.25 && dict.options.historySize == 7)
        #expect(dict.state == optimizer.optimizer.torchState && dict.state?.nIter == 1)
        // A replacement changes the dict that is returned, not the optimizer.
        #expect(optimizer.options.historySize == 100)
    }

    @Test("what the last pre hook makes of the dictionary is loaded, then the post hooks run")
    func loadStateDict() throws {
        let source = try make([4, 1], maxIterations: 3)
        try source.step(square)
        let dict = try source.stateDict()

        let target = try make([3, 3])
        target.registerLoadStateDictPreHook { target, dict in
            #expect(target.iterationCount == 0)
            var dict = dict
            dict.options.lr = 0.5
            return dict
        }
        target.registerLoadStateDictPreHook { _, dict in
            #expect(dict.options.lr == 0.5)
            return nil
        }
        var seen = 0
        target.registerLoadStateDictPostHook { target in seen = target.iterationCount }
        try target.loadStateDict(dict)
        #expect(seen == source.iterationCount && target.options.lr == 0.5)
        #expect(target.parameters == [3, 3])
        #expect(target.optimizer.torchState == dict.state)
    }

    @Test("a dictionary that doesn't fit changes nothing, and no post hook is called")
    func misfits() throws {
        let optimizer = try make([4, 1])
        try optimizer.step(square)
        let before = optimizer.optimizer
        var posts = 0
        optimizer.registerLoadStateDictPostHook { _ in posts += 1 }

        var dict = try optimizer.stateDict()
        dict.state?.d = [1]
        dict.options.lr = 0.5
        #expect(
            throws: TorchStateError(key: "d", reason: "has 1 numbers, the parameters have 2")
        ) { try optimizer.loadStateDict(dict) }
        dict = try optimizer.stateDict()
        dict.options.historySize = 0
        #expect(throws: OptionError.historySize(0)) { try optimizer.loadStateDict(dict) }
        optimizer.registerLoadStateDictPreHook { _, _ in throw Refusal() }
        let empty = StateDict<Double>(state: nil, options: Options())
        #expect(throws: Refusal()) { try optimizer.loadStateDict(empty) }
        #expect(optimizer.optimizer == before && posts == 0)
    }
}
