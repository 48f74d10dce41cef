import Foundation
import HTTPServer
import HTTPTypes
import Synchronization
import Testing

@Suite("Event loop hooks")
struct EventLoopHooksTests {
    private struct State {
        var awake = 0
        var wakeups = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
        var groups: [Int] = []
    }

    /// A handler whose requests are released together by the hooks.
    private final class GroupRelease: Sendable {
        let state = Mutex(State())

        var hooks: EventLoopHooks {
            EventLoopHooks(
                didWake: { [self] in
                    state.withLock { state in
                        state.awake += 1
                        state.wakeups += 1
                    }
                },
                didDrain: { [self] in release() },
                willBlock: { [self] in
                    release()
                    state.withLock { $0.awake -= 1 }
                })
        }

        var route: Route {
            Route(method: .get, pattern: "/release", operationID: "release") { [self] _ in
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

    @Test("requests that wait for didDrain are released in groups", arguments: [1, 2, 4])
    func groups(threads: Int) async throws {
        let release = GroupRelease()
        try await serving(
            [release.route], configure: { $0.threads = threads },
            hooks: release.hooks
        ) { harness in
            let clients = try (0..<64).map { _ in try harness.client() }
            for _ in 1...10 {
                for client in clients { client.send("GET /release HTTP/1.1\r\nHost: a\r\n\r\n") }
                for client in clients {
                    client.setTimeout(seconds: 10)
                    #expect(try client.reply().text == "released")
                }
            }
        }
        let (groups, awake, wakeups) = release.state.withLock { ($0.groups, $0.awake, $0.wakeups) }
        #expect(groups.reduce(0, +) == 640)
        #expect(groups.contains { $0 > 1 })
        #expect(awake == 0 && wakeups >= threads, "didWake and willBlock are called equally often")
    }
}
