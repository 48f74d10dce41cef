import Foundation
import Sessions
import Testing

@Suite("Lists of sessions")
struct ListingTests {
    /// Sessions with some results each, the newest last.
    private func makeSessions(
        _ service: SessionService, _ names: [String?], tenant: String = "default"
    ) async throws -> [SessionID] {
        var ids: [SessionID] = []
        for (index, name) in names.enumerated() {
            var request = makeRequest([Double(index), 1])
            request.name = name
            request.labels = ["parity": index.isMultiple(of: 2) ? "even" : "odd"]
            let id = try await service.create(request, tenant: tenant).value.record.id
            if index > 0 {
                _ = try await service.beginStep(id)
                try await run(service, id, count: index)
            }
            ids.append(id)
        }
        return ids
    }

    private func listed(
        _ service: SessionService, _ query: SessionQuery, pageSize: Int = 2
    ) async throws -> [SessionID] {
        var ids: [SessionID] = []
        var token: PageToken?
        repeat {
            let page = try await service.list(query, pageSize: pageSize, after: token)
            #expect(page.items.count <= pageSize)
            ids += page.items.map(\.record.id)
            token = page.next
        } while token != nil
        return ids
    }

    @Test("Each order goes through all sessions, page by page, and back")
    func orders() async throws {
        let service = makeService()
        let ids = try await makeSessions(service, ["b", nil, "C", "a", "B"])
        // The first has changed last.
        _ = try await service.beginStep(ids[0])
        let best = try await ids.asyncMap { try await service.view($0).best?.loss }
        #expect(best[0] == nil && best[1] != nil)
        func expect(_ order: SessionQuery.Order, _ expected: [Int], last: Int = 0) async throws {
            let found = try await listed(service, SessionQuery(order: order))
            #expect(found == expected.map { ids[$0] }, "\(order)")
            let query = SessionQuery(order: order, isDescending: !order.isDescendingByDefault)
            // Those without anything come last either way.
            let reversed = expected.dropLast(last).reversed() + expected.suffix(last)
            #expect(try await listed(service, query) == reversed.map { ids[$0] }, "\(order) back")
        }
        try await expect(.created, [4, 3, 2, 1, 0])
        try await expect(.updated, [0, 4, 3, 2, 1])
        let byLoss = (1...4).sorted { best[$0] ?? 0 < best[$1] ?? 0 }
        try await expect(.bestLoss, byLoss + [0], last: 1)
        // Of equal names the newest comes first, in both directions.
        let byName = try await listed(service, SessionQuery(order: .name))
        #expect(byName == [3, 4, 0, 2, 1].map { ids[$0] })
        let back = SessionQuery(order: .name, isDescending: true)
        #expect(try await listed(service, back) == [2, 4, 0, 3, 1].map { ids[$0] })
    }

    @Test("Sessions are found by state, mode, text, label and name together")
    func filters() async throws {
        let service = makeService()
        let ids = try await makeSessions(service, ["Burgers 1", nil, "heat", "burgers 2"])
        func found(_ query: SessionQuery) async throws -> [Int] {
            try await listed(service, query).map { ids.firstIndex(of: $0) ?? -1 }
        }
        #expect(try await found(SessionQuery(text: "BURG")) == [3, 0])
        #expect(try await found(SessionQuery(text: "parity:ODD")) == [3, 1])
        #expect(try await found(SessionQuery(text: String(ids[2].rawValue.dropFirst(3)))) == [2])
        #expect(try await found(SessionQuery(text: "nothing")) == [])
        // A step of theirs may have ended.
        let states = try await ids.asyncMap { try await service.view($0).status.phase }
        let idle = [3, 2, 1, 0].filter { states[$0] == .idle }
        #expect(try await found(SessionQuery(state: .idle)) == idle)
        #expect(idle.last == 0 && idle.count < 4)
        #expect(try await found(SessionQuery(state: .evaluating, text: "burg")) == [3])
        #expect(try await found(SessionQuery(mode: .torch)) == [3, 2, 1, 0])
        #expect(try await found(SessionQuery(mode: .robust)) == [])
        let odd = SessionQuery.Label(key: "parity", value: "odd")
        let evaluating = [3, 1].filter { states[$0] == .evaluating }
        #expect(try await found(SessionQuery(label: odd, state: .evaluating)) == evaluating)
        #expect(try await found(SessionQuery(name: "heat", order: .updated)) == [2])
        let error = await refusal { _ = try await service.list(SessionQuery(text: "")) }
        guard case .invalid(let errors) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(errors.map(\.field) == ["query.q"])
    }

    @Test("What lists show follows every change, as a service that reads anew sees it")
    func changes() async throws {
        let store = MemoryStore()
        let service = makeService(store: store)
        var ids = try await makeSessions(service, ["a", "b", "c"])
        let query = SessionQuery(order: .name)
        #expect(try await listed(service, query) == ids)
        ids += try await makeSessions(service, ["d", "e"])
        try await service.delete(ids.remove(at: 1))
        var update = UpdateRequest()
        update.name = "z"
        update.labels = ["new": "label"]
        _ = try await service.update(ids[0], update)
        try await run(service, ids[1], count: 3)
        try await service.withSession(ids[1]) { _ = try await $0.stop() }
        let other = makeService(store: store)
        for order in SessionQuery.Order.allCases {
            let query = SessionQuery(order: order, isDescending: false)
            var kept = try await service.list(query, pageSize: 10).items
            var read = try await other.list(query, pageSize: 10).items
            for index in read.indices {
                // Only its count of numbers is shown.
                #expect(kept[index].record.parameterCount == read[index].record.parameterCount)
                kept[index].record.parameters = []
                read[index].record.parameters = []
            }
            #expect(kept == read, "\(order)")
        }
        #expect(try await listed(service, SessionQuery(text: "new:")) == [ids[0]])
    }

    @Test("A page token belongs to its query and its tenant, and outlives what it was made of")
    func tokens() async throws {
        let service = makeService()
        let ids = try await makeSessions(service, ["a", "b", "c", "d"])
        let query = SessionQuery(order: .name)
        let first = try await service.list(query, pageSize: 2)
        let token = try #require(first.next)
        try await service.delete(ids[1])
        let second = try await service.list(query, pageSize: 2, after: token)
        #expect(second.items.map(\.record.id) == [ids[2], ids[3]] && second.next == nil)
        let stored = try #require(try await service.list(pageSize: 1).next)
        let uses: [(SessionQuery, PageToken, String)] = [
            (SessionQuery(order: .name, isDescending: true), token, "default"),
            (SessionQuery(text: "a", order: .name), token, "default"),
            (SessionQuery(), token, "default"), (query, token, "other"),
            (query, stored, "default"),
            (query, PageToken(cursor: (token.cursor ?? []).reversed()), "default"),
        ]
        for (query, token, tenant) in uses {
            let error = await refusal {
                _ = try await service.list(query, after: token, tenant: tenant)
            }
            guard case .invalid(let errors) = error else {
                Issue.record("\(query), \(tenant): \(String(describing: error))")
                continue
            }
            #expect(errors.map(\.field) == ["query.page_token"])
        }
    }

    @Test("A tenant's lists and purges have its own sessions only")
    func tenants() async throws {
        let service = makeService()
        let flow = try await makeSessions(service, ["a", "b"], tenant: "flow")
        _ = try await makeSessions(service, ["a", "b"], tenant: "heat")
        let page = try await service.list(SessionQuery(order: .name), tenant: "flow")
        #expect(page.items.map(\.record.id) == flow)
        var criteria = PurgeCriteria()
        criteria.name = "a"
        let outcome = try await service.purge(criteria, isForced: true, tenant: "flow")
        #expect(outcome.count == 1 && outcome.deleted == 1 && outcome.sessions == [flow[0]])
        let rest = try await service.list(SessionQuery(text: "a"), tenant: "heat")
        #expect(rest.items.contains { $0.record.name == "a" })
    }

    @Test("More than the limit is refused with its number, and lists by creation go on")
    func limit() async throws {
        let service = makeService { $0.listingBytesMax = 2_000 }
        _ = try await makeSessions(service, ["a", "b", "c", "d"])
        let error = await refusal { _ = try await service.list(SessionQuery(order: .name)) }
        #expect(
            error
                == .overloaded(limit: .listingBytes, maximum: 2_000, retryAfterSeconds: 60))
        #expect(try await service.list().items.count == 4)
    }

    @Test("The catalogs that were used least recently make room for others")
    func eviction() async throws {
        let service = makeService { $0.listingBytesMax = 4_000 }
        for tenant in ["a", "b", "c"] {
            _ = try await makeSessions(service, ["x", "y"], tenant: tenant)
        }
        for tenant in ["a", "b", "c", "a", "b", "c"] {
            let page = try await service.list(SessionQuery(order: .updated), tenant: tenant)
            #expect(page.items.count == 2, "\(tenant)")
        }
    }
}

@Suite("Purges")
struct PurgeTests {
    @Test("A purge says what it would delete, and deletes it if it is to")
    func purge() async throws {
        let service = makeService()
        var ids: [SessionID] = []
        for name in ["a", nil, "b", nil] {
            var request = makeRequest()
            request.name = name
            ids.append(try await makeSession(service, request))
        }
        _ = try await service.beginStep(ids[1])
        var criteria = PurgeCriteria()
        criteria.isUnnamed = true
        let preview = try await service.purge(criteria, isForced: false)
        // The one that changed least recently comes first.
        #expect(preview == PurgeOutcome(count: 2, sessions: [ids[3], ids[1]]))
        criteria.state = .idle
        let outcome = try await service.purge(criteria, isForced: true)
        #expect(outcome == PurgeOutcome(count: 1, sessions: [ids[3]], deleted: 1))
        #expect(try await service.list().items.map(\.record.id) == [ids[2], ids[1], ids[0]])
        var old = PurgeCriteria()
        old.inactiveSeconds = 1_000
        #expect(try await service.purge(old, isForced: true).count == 0)
        old.inactiveSeconds = 0
        #expect(try await service.purge(old, isForced: true).deleted == 3)
        #expect(try await service.list().items.isEmpty)
    }

    @Test("A purge without criteria, or with some that can't be, is refused")
    func refused() async throws {
        let service = makeService()
        for (change, field) in [
            ({ _ in }, "body"), ({ $0.inactiveSeconds = -1 }, "inactive_seconds"),
            (
                {
                    $0.isUnnamed = true
                    $0.name = "a"
                }, "unnamed"
            ),
        ] as [((inout PurgeCriteria) -> Void, String)] {
            var criteria = PurgeCriteria()
            change(&criteria)
            let error = await refusal { _ = try await service.purge(criteria, isForced: true) }
            guard case .invalid(let errors) = error else {
                Issue.record("\(field): \(String(describing: error))")
                continue
            }
            #expect(errors.map(\.field) == [field])
        }
    }
}

extension [SessionID] {
    fileprivate func asyncMap<Value>(
        _ transform: (SessionID) async throws -> Value
    ) async throws -> [Value] {
        var values: [Value] = []
        for id in self { values.append(try await transform(id)) }
        return values
    }
}
