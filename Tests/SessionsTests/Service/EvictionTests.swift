import Sessions
import TestKit
import Testing

struct EvictionTests {
    @Test func `sessions leave memory when there are too many, and come back`() async throws {
        let service = makeService { $0.residentSessionsMax = 4 }
        var sessions: [SessionID] = []
        for _ in 0..<20 { sessions.append(try await makeSession(service)) }
        for id in sessions {
            _ = try await service.beginStep(id)
            try await run(service, id, count: 2)
        }
        for id in sessions { #expect(try await service.turn(id).evaluation == 3) }
    }
}
