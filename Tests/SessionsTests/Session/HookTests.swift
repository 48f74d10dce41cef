import Foundation
import Sessions
import TestKit
import Testing

struct HookTests {
    /// A service whose clock is the wall clock, since hooks have deadlines.
    private func makeTimedService(_ change: (inout Limits) -> Void = { _ in }) -> SessionService {
        var limits = Limits()
        change(&limits)
        return SessionService(store: MemoryStore(), limits: limits)
    }

    private func intercept(
        _ service: SessionService, _ id: SessionID, _ event: HookEvent, seconds: Double = 20
    ) async throws {
        let request = HookRequest(
            event: event, action: .intercept(deadlineSeconds: seconds, fallback: .proceed))
        _ = try await service.withSession(id) { try await $0.addHook(request) }
    }

    private func awaitCall(_ service: SessionService, _ id: SessionID) async throws -> Int {
        while true {
            if let call = try await service.turn(id).hookCall { return call.number }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    @Test func `an answer can't set a history that wouldn't fit`() async throws {
        let service = makeTimedService()
        let id = try await makeSession(service)
        try await intercept(service, id, .stepPre)
        #expect(try await service.beginStep(id).value.hookCall?.number == 1)
        for size in [10_001, 500_000_000] {
            var patch = OptionsPatch()
            patch.historySize = size
            let answer = HookAnswer.options(patch)
            let error = await refusal {
                _ = try await service.withSession(id) {
                    try await $0.answer(1, answer, digest: .of([]))
                }
            }
            guard case .invalid(let errors) = error else {
                Issue.record("history_size \(size): \(String(describing: error))")
                return
            }
            #expect(errors.map(\.field) == ["options.history_size"])
        }
        // The call still waits, and a history that fits is taken.
        var patch = OptionsPatch()
        patch.historySize = 10_000
        let answer = HookAnswer.options(patch)
        let turn = try await service.withSession(id) {
            try await $0.answer(1, answer, digest: .of([]))
        }
        #expect(turn.value.evaluation == 1)
    }

    @Test func `no step begins while too many messages wait for webhooks, and tells go on`()
        async throws
    {
        var limits = Limits()
        limits.deliveriesMax = 3
        let store = MemoryStore()
        let service = SessionService(
            store: store, limits: limits,
            hooking: HookEnvironment(
                checkTarget: { _ throws(HookTargetError) in }, makeSecret: { "s" }))
        let id = try await makeSession(service)
        for event in [HookEvent.stepPre, .stepPost] {
            let request = HookRequest(
                event: event, action: .observe(url: "https://example.org", secret: ""))
            _ = try await service.withSession(id) { try await $0.addHook(request) }
        }
        for _ in 0..<2 {
            _ = try await service.beginStep(id)
            try await run(service, id)
        }
        #expect(try await store.pendingDeliveryCount(of: id) == 4)
        let full = SessionError.overloaded(
            limit: .deliveries, maximum: 3, retryAfterSeconds: 60)
        #expect(await refusal { _ = try await service.beginStep(id) } == full)
        // When some were delivered, steps begin again.
        for var delivery in try await store.dueDeliveries(at: .now, limit: 2, skipping: 0) {
            delivery.status = .delivered
            delivery.nextAttemptAt = nil
            try await store.update(delivery)
        }
        #expect(try await service.beginStep(id).value.phase == .evaluating)
    }

    @Test func `a default applies although the session's queue is full`() async throws {
        let service = makeTimedService { $0.queuedRequestsMax = 1 }
        let id = try await makeSession(service)
        try await intercept(service, id, .stepPre, seconds: 0.05)
        _ = try await service.beginStep(id)
        // One call runs, one waits, and the default comes meanwhile.
        let gate = AsyncStream.makeStream(of: Void.self)
        let running = Task {
            try await service.withSession(id) { session in
                try await session.occupy { for await _ in gate.stream { return } }
            }
        }
        try await Task.sleep(for: .milliseconds(20))
        let waiting = Task { try await service.withSession(id) { try await $0.hooks() } }
        try await Task.sleep(for: .milliseconds(200))
        gate.continuation.yield()
        try await running.value
        #expect(try await waiting.value.count == 1)
        let deadline = ContinuousClock.now + .seconds(5)
        while try await service.turn(id).phase == .awaitingHook {
            guard ContinuousClock.now < deadline else {
                Issue.record("the default was lost")
                return
            }
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(try await service.turn(id).evaluation == 1)
    }

    @Test func `a state dict that hooks delayed is the one of its entity tag`() async throws {
        for _ in 0..<10 {
            let service = makeTimedService()
            let id = try await makeSession(service)
            _ = try await service.beginStep(id)
            try await run(service, id)
            let (dict, _) = try await service.withSession(id) { try await $0.stateDict() }
            try await intercept(service, id, .loadStateDictPost)
            let loading = Task(priority: .background) {
                try await service.withSession(id) { try await $0.loadStateDict(dict) }
            }
            let call = try await awaitCall(service, id)
            // Changes that wait in line when the load ends, ahead of its caller.
            let changes = Task(priority: .high) {
                await withTaskGroup(of: Void.self) { group in
                    for index in 1...20 {
                        group.addTask {
                            var request = UpdateRequest()
                            var options = OptionsPatch()
                            options.lr = 1 + Double(index)
                            request.options = options
                            _ = try? await service.update(id, request)
                        }
                    }
                }
            }
            let answered = Task(priority: .high) {
                try await service.withSession(id) {
                    try await $0.answer(call, .nothing, digest: .of([]))
                }
            }
            let tag = try await answered.value.value.tag
            let (loaded, loadedTag) = try await loading.value
            await changes.value
            #expect(loadedTag == tag)
            #expect(loaded.options.lr == 1)
        }
    }
}
