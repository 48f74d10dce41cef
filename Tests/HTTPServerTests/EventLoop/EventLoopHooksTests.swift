import Foundation
import HTTPServer
import HTTPTypes
import Synchronization
import Testing

/// What is called by the threads that serve.
@Suite("Attendants")
struct AttendantTests {
    private struct State {
        var awake = 0
        var turns = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
        var groups: [Int] = []
    }

    /// A handler that waits until whoever serves has caught up.
    private final class Gathering: Sendable {
        let state = Mutex(State())

        var attendant: Attendant {
            Attendant(
                wakes: { [self] in
                    state.withLock { state in
                        state.awake += 1
                        state.turns += 1
                    }
                },
                caughtUp: { [self] in release() },
                sleeps: { [self] in
                    release()
                    state.withLock { $0.awake -= 1 }
                })
        }

        var route: Route {
            Route(method: .get, pattern: "/gather", operationID: "gather") { [self] _ in
                await withCheckedContinuation { continuation in
                    state.withLock { $0.waiting.append(continuation) }
                }
                return text("released")
            }
        }

        private func release() {
            let waiting = state.withLock { state in
                if !state.waiting.isEmpty { state.groups.append(state.waiting.count) }
                defer { state.waiting = [] }
                return state.waiting
            }
            for continuation in waiting { continuation.resume() }
        }
    }

    @Test("What waits for a thread to catch up goes on, in groups", arguments: [1, 2, 4])
    func groups(threads: Int) async throws {
        let gathering = Gathering()
        try await serving(
            [gathering.route], configure: { $0.threads = threads },
            attendant: gathering.attendant
        ) { harness in
            let clients = try (0..<64).map { _ in try harness.client() }
            for _ in 1...10 {
                for client in clients { client.send("GET /gather HTTP/1.1\r\nHost: a\r\n\r\n") }
                for client in clients {
                    client.setTimeout(seconds: 10)
                    #expect(try client.reply().text == "released")
                }
            }
        }
        let (groups, awake, turns) = gathering.state.withLock { ($0.groups, $0.awake, $0.turns) }
        #expect(groups.reduce(0, +) == 640)
        #expect(groups.contains { $0 > 1 })
        #expect(awake == 0 && turns >= threads, "each thread that woke has gone to sleep")
    }
}
