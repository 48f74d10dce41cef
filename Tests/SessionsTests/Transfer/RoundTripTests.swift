import Foundation
import Sessions
import TestKit
import Testing

struct RoundTripTests {
    @Test(arguments: Variant.all)
    func `a copy that was imported goes on with the same bits, wherever it was exported`(
        variant: Variant
    ) async throws {
        let original = try await Run(variant)
        var phases: Set<SessionPhase> = []
        for event in 0..<60 {
            let turn = try await original.turn()
            phases.insert(turn.phase)
            let copy = try await Run(importing: try await original.export(), variant)
            let copied = Seen(try await copy.turn())
            #expect(copied == Seen(turn), "\(event): \(copied), \(Seen(turn))")
            // The copy goes on for as long as a search takes, then the original.
            var seen: [Seen] = []
            for _ in 0..<9 {
                try await copy.advance()
                seen.append(Seen(try await copy.turn()))
            }
            if event % 6 == 0 {
                let other = try await Run(importing: try await original.export(), variant)
                for expected in seen {
                    try await other.advance()
                    #expect(Seen(try await other.turn()) == expected)
                }
            }
            try await original.advance()
            #expect(Seen(try await original.turn()) == seen[0])
        }
        #expect(phases == [.idle, .evaluating])
    }

    @Test func `a file has the same bytes when its copy is exported`() async throws {
        for variant in Variant.all {
            let original = try await Run(variant)
            for _ in 0..<23 { try await original.advance() }
            let file = try await original.export()
            let copy = try await Run(importing: file, variant).export()
            #expect(copy.header == file.header)
            for (one, other) in zip(file.contents, copy.contents) {
                #expect(try one.bytes() == other.bytes())
            }
        }
    }

    @Test func `name, labels, layout, options and best are kept; a name can be chosen`()
        async throws
    {
        let variant = Variant.all[2]
        let original = try await Run(variant)
        try await original.advance()
        try await original.advance()
        let stopped = try await original.service.withSession(original.id) {
            try await $0.stop()
        }
        #expect(stopped.value.phase == .idle)
        var freeze = GroupUpdate()
        freeze.isFrozen = true
        let change = freeze
        _ = try await original.service.withSession(original.id) {
            try await $0.addGroup(
                GroupRequest(
                    name: "late",
                    parameters: [ParameterInput(name: "c", shape: [2], values: [3, 4])]))
        }
        _ = try await original.service.withSession(original.id) {
            try await $0.changeGroup(1, change)
        }
        let view = try await original.service.view(original.id)
        let file = try await original.export()
        let service = makeService()
        let kept = try await service.insert(try imported(file)).value
        #expect(kept.record.name == "moved" && kept.record.labels == ["team": "flow"])
        #expect(kept.groups == view.groups && kept.options == view.options)
        #expect(kept.best == view.best && kept.record.parameters == view.record.parameters)
        #expect(kept.record.origin == nil && kept.record.id != view.record.id)
        let named = try await service.insert(
            try imported(file), name: .some("other"), labels: [:]
        ).value
        #expect(named.record.name == "other" && named.record.labels.isEmpty)
        let copy = try await service.withSession(kept.record.id) { try await $0.groups() }
        #expect(copy.last?.group.isFrozen == true)
    }

    @Test func `hooks stay behind, and a session that waits for one has no file`() async throws {
        let run = try await Run(Variant.all[2])
        _ = try await run.service.withSession(run.id) {
            try await $0.addHook(
                HookRequest(
                    event: .stepPre,
                    action: .intercept(deadlineSeconds: 60, fallback: .proceed)))
        }
        let text = "\(try await run.export().header)"
        #expect(!text.contains("intercept") && !text.contains("hook"))
        let copy = try await Run(importing: try await run.export(), run.variant)
        #expect(try await copy.service.withSession(copy.id) { try await $0.hooks() }.isEmpty)
        try await run.advance()
        let error = await refusal { _ = try await run.export() }
        guard case .awaitingHook = error else {
            Issue.record("\(String(describing: error))")
            return
        }
    }

    @Test func `an earlier evaluation of an imported session is closed, and none is told twice`()
        async throws
    {
        let run = try await Run(Variant.all[2])
        for _ in 0..<5 { try await run.advance() }
        let copy = try await Run(importing: try await run.export(), run.variant)
        let pending = try #require(try await copy.turn().evaluation)
        #expect(pending == 5)
        let error = await refusal {
            _ = try await copy.service.tell(
                copy.id, evaluation: 4, .evaluated(loss: 1, gradient: .flat([0, 0, 0, 0, 0])))
        }
        #expect(error == .evaluationClosed(4, pending: 5))
    }

    @Test func `quotas, counts and keys hold as for a creation`() async throws {
        let file = try await Run(Variant.all[0]).export()
        let service = makeService { $0.sessionsMax = 1 }
        let key = IdempotencyKey(key: "k", requestDigest: Digest(high: 1, low: 2))
        let first = try await service.insert(try imported(file), idempotency: key)
        let again = try await service.insert(try imported(file), idempotency: key)
        #expect(again.isReplay && again.value.record.id == first.value.record.id)
        let other = IdempotencyKey(key: "k", requestDigest: Digest(high: 1, low: 3))
        let reused = await refusal {
            _ = try await service.insert(try imported(file), idempotency: other)
        }
        #expect(reused == .idempotencyKeyReused("k"))
        let full = await refusal { _ = try await service.insert(try imported(file)) }
        guard case .overloaded(.sessions, 1, _) = full else {
            Issue.record("\(String(describing: full))")
            return
        }
        let ledger = TenantLedger(quotas: ["small": TenantQuota(diskBytesMax: 1000)])
        let metered = SessionService(store: MemoryStore(), tenants: ledger)
        let refused = await refusal {
            _ = try await metered.insert(try imported(file), tenant: "small")
        }
        guard case .quotaReached(.diskBytes, _, _, 1000) = refused else {
            Issue.record("\(String(describing: refused))")
            return
        }
    }

    @Test func `a file that has a tensor twice is refused by its name`() async throws {
        let run = try await Run(Variant.all[0])
        for _ in 0..<4 { try await run.advance() }
        var file = try await run.export()
        let repeated = file.header.entries[0]
        file.header.entries.insert(repeated, at: 1)
        file.contents.insert(file.contents[0], at: 1)
        do {
            _ = try imported(file)
            Issue.record("it was accepted")
        } catch SessionError.invalid(let errors) {
            #expect(errors.map(\.field) == [repeated.name])
        }
    }

    @Test func `a file beyond a limit is refused by name`() async throws {
        let run = try await Run(Variant.all[5])
        for _ in 0..<8 { try await run.advance() }
        let file = try await run.export()
        func field(_ change: (inout Limits) -> Void) -> String? {
            var limits = Limits()
            change(&limits)
            do {
                _ = try imported(file, limits: limits)
                return nil
            } catch SessionError.invalid(let errors) {
                return errors.first?.field
            } catch {
                return "\(error)"
            }
        }
        #expect(field { _ in } == nil)
        #expect(field { $0.parametersMax = 4 } == "__metadata__.session.layout")
        #expect(field { $0.tensorsMax = 1 } == "__metadata__.session.layout.parameters")
        #expect(field { $0.shardsMax = 2 } == "__metadata__.session.shardCount")
        #expect(field { $0.historySizeMax = 3 } == "options.history_size")
        #expect(field { $0.sessionBytesMax = 1000 } == "options.history_size")
        #expect(field { $0.labelsMax = 0 } == "labels")
        #expect(field { $0.nameLengthMax = 4 } == "name")
    }
}
