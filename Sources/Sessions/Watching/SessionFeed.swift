internal import Synchronization

/// Which of a tenant's sessions a reader watches.
public enum WatchedSessions: Sendable {
    case all
    case these(Set<SessionID>)
    /// Those that carry a label with a value, when something happens to them.
    case labelled(SessionQuery.Label)

    func include(_ record: SessionRecord) -> Bool {
        switch self {
        case .all: true
        case .these(let ids): ids.contains(record.id)
        case .labelled(let label): record.labels[label.key] == label.value
        }
    }
}

/// Passes what happens to sessions on to those who watch many of them.
///
/// Sessions call it after their commits. As long as nobody watches, that is a load of a flag.
final class SessionFeed: Sendable {
    private struct Subscriber {
        var watched: WatchedSessions
        var continuation: AsyncStream<FeedEvent>.Continuation
    }

    private struct State {
        var tenants: [String: [Int: Subscriber]] = [:]
        var next = 0
    }

    private let isWatched = Atomic<Bool>(false)
    private let state = Mutex(State())

    func publish(_ events: @autoclosure () -> [FeedEvent], of record: SessionRecord) {
        guard isWatched.load(ordering: .sequentiallyConsistent) else { return }
        // Streams end outside of the lock, since their ends call `unsubscribe`.
        var ended: [AsyncStream<FeedEvent>.Continuation] = []
        state.withLock { state in
            guard let subscribers = state.tenants[record.tenant] else { return }
            let events = events()
            for (number, subscriber) in subscribers where subscriber.watched.include(record) {
                let isLost = events.contains { event in
                    if case .dropped = subscriber.continuation.yield(event) { true } else { false }
                }
                guard isLost else { continue }
                // Rather than have a gap. Its reader connects again, and reads anew what it shows.
                ended.append(subscriber.continuation)
                state.tenants[record.tenant]?[number] = nil
            }
        }
        for continuation in ended { continuation.finish() }
    }

    /// A stream of the events from now on; nil if the tenant has `limit` of them already.
    func subscribe(
        to watched: WatchedSessions, of tenant: String, limit: Int, buffering: Int,
        heartbeatSeconds: Double
    ) -> AsyncStream<FeedEvent>? {
        state.withLock { state in
            guard state.tenants[tenant]?.count ?? 0 < limit else { return nil }
            let number = state.next
            state.next += 1
            let (stream, continuation) = AsyncStream.subscription(
                limit: buffering, heartbeat: FeedEvent.heartbeat, seconds: heartbeatSeconds
            ) { [weak self] in self?.unsubscribe(number, of: tenant) }
            state.tenants[tenant, default: [:]][number] = Subscriber(
                watched: watched, continuation: continuation)
            isWatched.store(true, ordering: .sequentiallyConsistent)
            return stream
        }
    }

    private func unsubscribe(_ number: Int, of tenant: String) {
        state.withLock { state in
            state.tenants[tenant]?[number] = nil
            if state.tenants[tenant]?.isEmpty == true { state.tenants[tenant] = nil }
            isWatched.store(!state.tenants.isEmpty, ordering: .sequentiallyConsistent)
        }
    }

    /// Ends all streams.
    func end() {
        let ended = state.withLock { state in
            defer { state.tenants = [:] }
            return state.tenants.values.flatMap { $0.values.map(\.continuation) }
        }
        for continuation in ended { continuation.finish() }
    }
}
