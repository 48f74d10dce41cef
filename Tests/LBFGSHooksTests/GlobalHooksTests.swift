import LBFGS
import LBFGSHooks
import Synchronization
import Testing

/// Global hooks are called for the optimizers of other tests too, so only one optimizer's calls are
/// recorded.
private final class Notes: Sendable {
    private let names = Mutex<[String]>([])
    let optimizer: ObjectIdentifier

    init(of optimizer: any AnyHookedOptimizer) { self.optimizer = ObjectIdentifier(optimizer) }

    var taken: [String] { names.withLock { $0 } }

    func take(_ name: String, _ candidate: any AnyHookedOptimizer) {
        guard ObjectIdentifier(candidate) == optimizer else { return }
        names.withLock { $0.append(name) }
    }
}

private func make<Scalar: EngineScalar>(_ start: Scalar) throws -> HookedOptimizer<Scalar> {
    HookedOptimizer(try Optimizer([start], options: Options(maxIterations: 1)))
}

@Suite("Hooks of all optimizers")
struct GlobalHooksTests {
    @Test("they are called outermost: before an optimizer's own pre hooks, after its post hooks")
    func order() throws {
        let optimizer = try make(4.0)
        let notes = Notes(of: optimizer)
        optimizer.registerStepPreHook { optimizer, _ in
            notes.take("own pre a", optimizer)
            return nil
        }
        optimizer.registerStepPostHook { optimizer, _ in notes.take("own post a", optimizer) }
        var handles: [GlobalHookHandle] = []
        for (name, prepend) in [("a", false), ("b", false), ("c", true)] {
            handles += [
                registerOptimizerStepPreHook(prepend: prepend) { optimizer, _ in
                    notes.take("global pre \(name)", optimizer)
                    return nil
                },
                registerOptimizerStepPostHook(prepend: prepend) { optimizer, _ in
                    notes.take("global post \(name)", optimizer)
                },
            ]
        }
        optimizer.registerStepPreHook { optimizer, _ in
            notes.take("own pre b", optimizer)
            return nil
        }
        optimizer.registerStepPostHook(prepend: true) { optimizer, _ in
            notes.take("own post b", optimizer)
        }
        try optimizer.step { ($0[0], [1]) }
        let expected = [
            "global pre c", "global pre a", "global pre b", "own pre a", "own pre b",
            "own post b", "own post a", "global post c", "global post a", "global post b",
        ]
        #expect(notes.taken == expected)
        for handle in handles + handles { handle.remove() }
        try optimizer.step { ($0[0], [1]) }
        #expect(Array(notes.taken.dropFirst(10)) == expected.filter { $0.hasPrefix("own") })
    }

    @Test("one hook serves optimizers of both precisions, made before and after it")
    func precisions() throws {
        let before = try make(4.0)
        let notes = Notes(of: before)
        let floats = Mutex(0)
        let handle = registerOptimizerStepPreHook { optimizer, arguments in
            notes.take("double \(optimizer.options.lr)", optimizer)
            if (optimizer as? HookedOptimizer<Float>)?.parameters == [7] {
                #expect(arguments is StepArguments<Float>)
                floats.withLock { $0 += 1 }
            }
            return nil
        }
        defer { handle.remove() }
        try before.step { ($0[0], [1]) }
        try make(Float(7)).step { (Double($0[0]), [1]) }
        #expect(notes.taken == ["double 1.0"] && floats.withLock { $0 } == 1)
    }

    @Test("a replacement goes to the optimizer's own hooks; one of the wrong precision is refused")
    func replacement() throws {
        let (optimizer, other) = (try make(4.0), try make(Float(4)))
        let ours = [ObjectIdentifier(optimizer), ObjectIdentifier(other)]
        let handle = registerOptimizerStepPreHook { candidate, _ in
            guard ours.contains(ObjectIdentifier(candidate)) else { return nil }
            return StepArguments<Double> { point in (point[0] - 1, [1]) }
        }
        defer { handle.remove() }
        optimizer.registerStepPreHook { _, arguments in
            let loss = try arguments.closure([1]).loss
            #expect(loss == 0)
            return nil
        }
        #expect(try optimizer.step { ($0[0], [1]) }.lossBefore == 3)
        let error = #expect(throws: HookError.self) { try other.step { (Double($0[0]), [1]) } }
        let expected = HookError.wrongArguments(
            expected: "StepArguments<Float>", got: "StepArguments<Double>")
        #expect(error == expected)
        #expect(
            "\(expected)" == "A step's pre hook must return nil or StepArguments<Float>, "
                + "but it returned StepArguments<Double>.")
        #expect(other.evaluationCount == 0)
    }

    @Test("an optimizer's own hook that a global one registers takes part in the same step")
    func registrationInGlobalHooks() throws {
        let optimizer = try make(4.0)
        let notes = Notes(of: optimizer)
        let handle = registerOptimizerStepPreHook { candidate, _ in
            guard ObjectIdentifier(candidate) == notes.optimizer else { return nil }
            notes.take("global", candidate)
            (candidate as? HookedOptimizer<Double>)?.registerStepPreHook { optimizer, _ in
                notes.take("own", optimizer)
                return nil
            }
            return nil
        }
        defer { handle.remove() }
        try optimizer.step { ($0[0], [1]) }
        #expect(notes.taken == ["global", "own"])
    }

    @Test("steps, registrations and removals on many threads do not meet")
    func threads() async throws {
        let calls = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    let optimizer = try make(4.0)
                    let notes = Notes(of: optimizer)
                    for _ in 0..<100 {
                        let handle = registerOptimizerStepPostHook { candidate, _ in
                            notes.take("post", candidate)
                        }
                        try optimizer.step { ($0[0], [1]) }
                        handle.remove()
                    }
                    return notes.taken.count
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(calls == 800)
    }
}
