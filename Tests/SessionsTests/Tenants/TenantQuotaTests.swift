import Sessions
import Testing

@Suite("Quotas of tenants")
struct TenantQuotaTests {
    private func service(_ quota: TenantQuota) -> SessionService {
        SessionService(
            store: MemoryStore(), tenants: TenantLedger(quotas: ["flow": quota]), now: makeClock())
    }

    @Test("Creations at the same time don't exceed a quota together")
    func concurrency() async throws {
        let service = service(TenantQuota(sessionsMax: 7))
        let created = await withTaskGroup(of: Bool.self) { group in
            for _ in 0..<50 {
                group.addTask {
                    (try? await service.create(makeRequest(), tenant: "flow")) != nil
                }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(created == 7)
        await #expect(
            throws: SessionError.quotaReached(.sessions, needed: 1, used: 7, maximum: 7)
        ) {
            try await service.create(makeRequest(), tenant: "flow")
        }
        let page = try await service.list(tenant: "flow")
        #expect(page.items.count == 7)
        try await service.delete(page.items[3].record.id)
        _ = try await service.create(makeRequest(), tenant: "flow")
        #expect(try await service.usage(of: "flow").sessions == 7)
        // Others have no quota, and aren't listed.
        for _ in 0..<8 { _ = try await service.create(makeRequest()) }
        #expect(try await service.list(tenant: "flow").items.count == 7)
    }

    @Test("A session is its tenant's own")
    func visibility() async throws {
        let service = service(TenantQuota())
        let id = try await service.create(makeRequest(), tenant: "flow").value.record.id
        try await service.check(id, belongsTo: "flow")
        for tenant in ["default", "other", ""] {
            await #expect(throws: SessionError.notFound(.session, id: id.rawValue)) {
                try await service.check(id, belongsTo: tenant)
            }
        }
    }

    @Test("Requests in flight are counted until they end")
    func requests() {
        let ledger = TenantLedger(
            defaults: TenantQuota(requestsInFlightMax: 2),
            quotas: ["flow": TenantQuota(requestsInFlightMax: 1)])
        #expect(ledger.requestBegan(of: "flow") == nil)
        #expect(ledger.requestBegan(of: "flow") == 1)
        #expect(ledger.requestBegan(of: "other") == nil)
        #expect(ledger.requestBegan(of: "other") == nil)
        #expect(ledger.requestBegan(of: "other") == 2)
        ledger.requestEnded(of: "flow")
        #expect(ledger.requestBegan(of: "flow") == nil)
    }
}
