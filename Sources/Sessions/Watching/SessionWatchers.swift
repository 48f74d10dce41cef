internal import Synchronization

package import struct Foundation.Date

/// A committed change of a session that something outside of it keeps count of.
package struct SessionChange: Sendable {
    package let turn: Turn
    /// Of the newest accepted point.
    package let loss: Double?
    /// The newest accepted point.
    package let point: Vector
    package let updatedAt: Date
    /// Of the evaluations that the change has concluded.
    package let traces: [TracePoint]

    package init(
        turn: Turn, loss: Double?, point: Vector, updatedAt: Date, traces: [TracePoint]
    ) {
        self.turn = turn
        self.loss = loss
        self.point = point
        self.updatedAt = updatedAt
        self.traces = traces
    }
}

/// What watches sessions from outside, and sees the changes that anyone makes.
///
/// Watchers are called by the session, after the commit and in its order: they must only note what
/// they are told. Sessions that nobody watches pay for a load of a flag.
package final class SessionWatchers: Sendable {
    package enum Notice: Sendable {
        case changed(SessionChange)
        case deleted
    }

    package typealias Watcher = @Sendable (SessionID, Notice) -> Void

    private let isWatching = Atomic<Bool>(false)
    private let watchers = Mutex<[SessionID: Watcher]>([:])

    package init() {}

    /// Calls `watcher` for every later change of these sessions.
    package func watch(_ ids: [SessionID], _ watcher: @escaping Watcher) {
        watchers.withLock { watchers in
            for id in ids { watchers[id] = watcher }
            isWatching.store(!watchers.isEmpty, ordering: .sequentiallyConsistent)
        }
    }

    package func unwatch(_ ids: [SessionID]) {
        watchers.withLock { watchers in
            for id in ids { watchers[id] = nil }
            isWatching.store(!watchers.isEmpty, ordering: .sequentiallyConsistent)
        }
    }

    func notify(_ id: SessionID, _ notice: () -> Notice) {
        guard isWatching.load(ordering: .sequentiallyConsistent),
            let watcher = watchers.withLock({ $0[id] })
        else { return }
        watcher(id, notice())
    }
}
