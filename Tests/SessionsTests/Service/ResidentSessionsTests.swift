import Foundation
import Sessions
import Testing

/// The ledger alone, with sessions that another service made.
struct ResidentSessionsTests {
    private let time = Date(timeIntervalSince1970: 0)

    /// A ledger with so many sessions of 100 bytes each, the first used least recently.
    private func make(_ count: Int) async throws -> (ledger: ResidentSessions, ids: [SessionID]) {
        let service = makeService()
        var ledger = ResidentSessions()
        var ids: [SessionID] = []
        for _ in 0..<count {
            let id = try await makeSession(service)
            let session = try await service.withSession(id) { $0 }
            ledger.begin(id, loading: nil, at: time)
            let isReserved = ledger.reserve(100, for: id, within: .max)
            #expect(isReserved)
            let isPlaced = ledger.place(session, replacing: false)
            #expect(isPlaced)
            ids.append(id)
        }
        return (ledger, ids)
    }

    @Test func `reservations are counted until their sessions are removed`() async throws {
        let (made, ids) = try await make(3)
        var ledger = made
        #expect(ledger.bytes == 300 && ledger.sessions.count == 3)
        ledger.remove(ids[0])
        ledger.remove(ids[0])
        #expect(ledger.bytes == 200 && ledger.sessions.count == 2)
    }

    @Test func `room is reserved within the budget only`() async throws {
        let (made, ids) = try await make(2)
        var ledger = made
        var generator = SystemRandomNumberGenerator()
        let newcomer = SessionID.random(using: &generator)
        func reserve(_ bytes: Int, beside companion: SessionID? = nil) -> Bool {
            ledger.reserve(bytes, for: newcomer, beside: companion, within: 300)
        }
        #expect(!reserve(1), "it has no slot")
        ledger.begin(newcomer, loading: nil, at: time)
        #expect(!reserve(101))
        #expect(reserve(100))
        #expect(reserve(50), "it may shrink")
        #expect(ledger.bytes == 250)
        ledger.remove(ids[0])
        #expect(!reserve(1000))
        #expect(reserve(1000, beside: ids[1]), "more than the budget fits beside a companion only")
    }

    @Test func `the least recently used are evicted first, and those that are held are not`()
        async throws
    {
        let (made, ids) = try await make(4)
        var ledger = made
        #expect(ledger.leastRecentlyUsed(holding: 150, except: []).map(\.id) == [ids[0], ids[1]])
        _ = ledger.use(ids[0], at: time)
        #expect(ledger.leastRecentlyUsed(holding: 100, except: []).map(\.id) == [ids[1]])
        ledger.hold(ids[1])
        ledger.hold(ids[1])
        ledger.release(ids[1])
        #expect(ledger.leastRecentlyUsed(holding: 100, except: [ids[2]]).map(\.id) == [ids[3]])
        ledger.release(ids[1])
        #expect(ledger.leastRecentlyUsed(holding: 1000, except: []).count == 4)
    }

    @Test func `another object does not take a place that is taken`() async throws {
        let (made, ids) = try await make(1)
        var ledger = made
        let session = try #require(ledger.sessions.first?.session)
        func place(replacingLoading: Bool) -> Bool {
            ledger.place(session, replacing: replacingLoading)
        }
        #expect(!place(replacingLoading: false))
        ledger.begin(ids[0], loading: nil, at: time)
        #expect(ledger.bytes == 100, "what was reserved stays reserved")
        #expect(!place(replacingLoading: true), "it is not being loaded")
        #expect(place(replacingLoading: false))
    }

    @Test func `too many sessions are evicted with a tenth more`() async throws {
        let (ledger, ids) = try await make(12)
        #expect(ledger.overCrowding(12).isEmpty)
        #expect(ledger.overCrowding(10).map(\.id) == Array(ids[..<3]))
    }

    @Test func `sessions that nobody used since are idle`() async throws {
        let (made, ids) = try await make(2)
        var ledger = made
        _ = ledger.use(ids[1], at: time.addingTimeInterval(10))
        #expect(ledger.idle(since: time.addingTimeInterval(5)).map(\.id) == [ids[0]])
        #expect(ledger.idle(since: time).isEmpty)
    }
}
