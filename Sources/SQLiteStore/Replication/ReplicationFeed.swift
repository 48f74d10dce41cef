import DiskLog
import Foundation
import SessionModel
import Synchronization

/// The changes that the standby has not acknowledged, and who waits for that.
///
/// Changes are published when they are durable here, in an order in which they could have become
/// so: a frame of the log under the log's lock, a transaction on the writer's queue. Each has a
/// number. The standby asks for those after its newest one, which acknowledges that one and all
/// before. Nothing is kept while no standby follows.
///
/// Bytes of segments are not kept but fetched from their files. So a segment that nothing needs any
/// more is removed only after the standby has acknowledged the change that says so.
final class ReplicationFeed: Sendable {
    struct State {
        var term: Int
        var isFenced: Bool
        var isEnded = false
        var newest = 0
        var retained = RetainedChanges()
        var follower: Follower?
        var removals: [DeferredRemoval] = []
        var removalBytes = 0
        var poll: (token: Int, continuation: CheckedContinuation<Void, Never>)?
        var nextToken = 0
        var confirmations: [Confirmation] = []
    }

    struct Follower {
        let id: String
        var acknowledged: Int
        var isInSync = false
        var heardAt = ContinuousClock.now
    }

    struct DeferredRemoval {
        var number: Int
        var bytes: Int
        var run: @Sendable () -> Void
    }

    struct Confirmation {
        var number: Int
        var began: ContinuousClock.Instant
        var continuation: CheckedContinuation<Result<Void, ReplicationError>, Never>
    }

    /// What is to be done after the lock has been released.
    private struct Effects {
        var poll: CheckedContinuation<Void, Never>?
        var confirmed: [Confirmation] = []
        var result: Result<Void, ReplicationError> = .success(())
        var removals: [DeferredRemoval] = []
        var event: ReplicationEvent?
    }

    let configuration: ReplicationConfiguration
    /// Identifies the numbering.
    let id: String
    private let state: Mutex<State>
    private let isFollowed = Atomic(false)
    /// An answer has about this many bytes at most, or one change.
    private static let answerBytesMax = 4 << 20
    /// A standby that lacks no more than this waits for no more than a moment.
    private static let nearBytes = 1 << 20

    init(_ configuration: ReplicationConfiguration, role: ReplicationRole) {
        self.configuration = configuration
        id = String(UInt64.random(in: .min ... .max), radix: 36)
        state = Mutex(State(term: role.term, isFenced: role.kind == .fenced))
    }

    /// Whether changes have to be published.
    var isActive: Bool { isFollowed.load(ordering: .acquiring) }

    var isEnded: Bool { state.withLock { $0.isEnded } }

    private func with<Value: Sendable>(
        _ body: (inout State, inout Effects) throws(ReplicationError) -> Value
    ) throws(ReplicationError) -> Value {
        var effects = Effects()
        let result: Result<Value, ReplicationError>
        do throws(ReplicationError) {
            result = .success(
                try state.withLock { state throws(ReplicationError) in
                    try body(&state, &effects)
                })
        } catch {
            result = .failure(error)
        }
        effects.poll?.resume()
        for confirmation in effects.confirmed {
            confirmation.continuation.resume(returning: effects.result)
        }
        for removal in effects.removals { removal.run() }
        if let event = effects.event { configuration.onEvent(event) }
        return try result.get()
    }

    private func update<Value: Sendable>(_ body: (inout State, inout Effects) -> Value) -> Value {
        do {
            return try with { state, effects throws(ReplicationError) in body(&state, &effects) }
        } catch {
            preconditionFailure("nothing was thrown: \(error)")
        }
    }

    // MARK: The committer

    /// Adds a change that is durable here.
    func publish(_ change: @autoclosure () -> ReplicatedChange) {
        guard isActive else { return }
        let encoded = change().encoded
        let microseconds = Int64(Date().timeIntervalSince1970 * 1e6)
        update { state, effects in
            guard let follower = state.follower else { return }
            state.newest += 1
            state.retained.append(
                NumberedChange.encode(encoded, number: state.newest, microseconds: microseconds),
                number: state.newest)
            while state.retained.bytes > configuration.bufferBytesMax, state.retained.count > 1 {
                guard state.retained.first <= follower.acknowledged else {
                    return lose(&state, &effects, "it is behind by more than the buffer holds")
                }
                state.retained.removeFirst()
            }
            effects.poll = state.poll?.continuation
            state.poll = nil
        }
    }

    /// Runs `removal` when the standby has acknowledged all changes until now.
    func afterAcknowledgement(
        bytes: Int, _ removal: @escaping @Sendable () -> Void
    ) {
        update { state, effects in
            let deferred = DeferredRemoval(number: state.newest, bytes: bytes, run: removal)
            guard let follower = state.follower, follower.acknowledged < state.newest else {
                effects.removals = [deferred]
                return
            }
            state.removals.append(deferred)
            state.removalBytes += bytes
            guard state.removalBytes > configuration.segmentBytesMax else { return }
            lose(&state, &effects, "it is behind by more segments than are kept")
        }
    }

    /// The standby has to begin anew.
    func lose(_ reason: String) {
        update { state, effects in lose(&state, &effects, reason) }
    }

    private func lose(_ state: inout State, _ effects: inout Effects, _ reason: String) {
        guard let follower = state.follower else { return }
        state.follower = nil
        isFollowed.store(false, ordering: .releasing)
        state.retained = RetainedChanges()
        effects.removals += state.removals
        state.removals = []
        state.removalBytes = 0
        effects.poll = state.poll?.continuation
        state.poll = nil
        endConfirmations(&state, &effects)
        effects.event = .standbyLost(follower.id, reason: reason)
    }

    // MARK: Waiting for the standby

    /// Why no write is taken.
    var writeRefusal: ReplicationError? {
        guard configuration.mode != .off else { return fencedError }
        return state.withLock { state in
            if state.isFenced { return .fenced(term: state.term) }
            guard configuration.mode == .synchronous, !configuration.continuesAlone,
                state.follower?.isInSync != true
            else { return nil }
            return .standbyMissing(seconds: Int(configuration.timeoutSeconds))
        }
    }

    private var fencedError: ReplicationError? {
        state.withLock { $0.isFenced ? .fenced(term: $0.term) : nil }
    }

    func confirm() async throws(ReplicationError) {
        guard configuration.mode == .synchronous else { return }
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<Void, ReplicationError>, Never>) in
            update { state, effects in
                let confirmation = Confirmation(
                    number: state.newest, began: .now, continuation: continuation)
                if let follower = state.follower, follower.isInSync, !state.isEnded {
                    if follower.acknowledged >= state.newest {
                        effects.confirmed = [confirmation]
                    } else {
                        state.confirmations.append(confirmation)
                    }
                } else {
                    effects.confirmed = [confirmation]
                    effects.result = withoutStandby
                }
            }
        }
        try result.get()
    }

    private var withoutStandby: Result<Void, ReplicationError> {
        configuration.continuesAlone
            ? .success(())
            : .failure(.unacknowledged(seconds: Int(configuration.timeoutSeconds)))
    }

    private func endConfirmations(_ state: inout State, _ effects: inout Effects) {
        effects.confirmed += state.confirmations
        effects.result = withoutStandby
        state.confirmations = []
    }

    /// To be called several times a second: notices that the standby is missing.
    func checkStandby() {
        update { state, effects in
            guard var follower = state.follower, follower.isInSync else { return }
            let limit = Duration.seconds(configuration.timeoutSeconds)
            let now = ContinuousClock.now
            let oldest = state.confirmations.first?.began ?? now
            guard now - follower.heardAt > limit || now - oldest > limit else { return }
            follower.isInSync = false
            state.follower = follower
            endConfirmations(&state, &effects)
            effects.event = .standbyLost(
                follower.id,
                reason: "it has acknowledged nothing for "
                    + "\(Int(configuration.timeoutSeconds)) s")
        }
    }

    /// Nobody is answered any more: what waits ends.
    func end() {
        update { state, effects in
            state.isEnded = true
            effects.poll = state.poll?.continuation
            state.poll = nil
            endConfirmations(&state, &effects)
            effects.removals = state.removals
            state.removals = []
        }
    }

    // MARK: The standby

    var status: ReplicationStatus {
        state.withLock { state in
            let now = ContinuousClock.now
            let standby = state.follower.map { follower in
                let behind = state.retained.after(follower.acknowledged)
                return ReplicationStatus.Standby(
                    id: follower.id, acknowledged: follower.acknowledged,
                    isInSync: follower.isInSync,
                    secondsBehind: behind.oldest.map { (now - $0) / .seconds(1) } ?? 0,
                    bytesBehind: behind.bytes,
                    secondsSilent: state.poll == nil ? (now - follower.heardAt) / .seconds(1) : 0)
            }
            return ReplicationStatus(
                mode: configuration.mode, feed: id, term: state.term, isFenced: state.isFenced,
                change: state.newest, standby: standby)
        }
    }

    /// A standby begins to copy the store. From now on changes are kept for it.
    func attach(_ standby: String) throws(ReplicationError) {
        guard configuration.mode != .off else { throw .off }
        try with { state, effects throws(ReplicationError) in
            guard !state.isEnded else { throw .failed("the daemon is stopping") }
            let limit = Duration.seconds(configuration.timeoutSeconds)
            if let other = state.follower, other.id != standby,
                ContinuousClock.now - other.heardAt < limit
            {
                throw .otherStandby(other.id)
            }
            lose(&state, &effects, "it begins anew")
            state.follower = Follower(id: standby, acknowledged: state.newest)
            isFollowed.store(true, ordering: .releasing)
            effects.event = .standbyJoined(standby)
        }
    }

    /// Takes the acknowledgement of all changes up to `number` and returns those after it. Waits
    /// for one if there is none.
    func changes(
        after number: Int, of feed: String, standby: String, isCopying: Bool, waitSeconds: Double
    ) async throws(ReplicationError) -> [UInt8] {
        let found = try acknowledge(number, of: feed, standby: standby, isCopying)
        guard found.isEmpty, waitSeconds > 0 else { return found }
        await awaitChange(after: number, seconds: waitSeconds)
        return try acknowledge(number, of: feed, standby: standby, isCopying)
    }

    private func acknowledge(
        _ number: Int, of feed: String, standby: String, _ isCopying: Bool
    ) throws(ReplicationError) -> [UInt8] {
        guard configuration.mode != .off else { throw .off }
        return try with { state, effects throws(ReplicationError) in
            guard !state.isEnded else { throw .failed("the daemon is stopping") }
            guard feed == id, var follower = state.follower else { throw .gone }
            guard follower.id == standby else { throw .otherStandby(follower.id) }
            guard number <= state.newest, state.retained.has(after: number, upTo: state.newest)
            else { throw .gone }
            follower.heardAt = .now
            follower.acknowledged = max(follower.acknowledged, number)
            let isNear =
                configuration.continuesAlone
                && state.retained.after(follower.acknowledged).bytes <= Self.nearBytes
            if !follower.isInSync, !isCopying, follower.acknowledged == state.newest || isNear {
                follower.isInSync = true
                effects.event = .standbyInSync(standby)
            }
            state.follower = follower
            let confirmed = state.confirmations.prefix { $0.number <= number }
            effects.confirmed = Array(confirmed)
            state.confirmations.removeFirst(confirmed.count)
            let removals = state.removals.prefix { $0.number <= number }
            effects.removals = Array(removals)
            state.removalBytes -= removals.reduce(0) { $0 + $1.bytes }
            state.removals.removeFirst(removals.count)
            return state.retained.bytes(after: number, atMost: Self.answerBytesMax)
        }
    }

    /// Returns when there is a change after `number`, when another poll comes, or after the time.
    private func awaitChange(after number: Int, seconds: Double) async {
        let token = state.withLock { state in
            state.nextToken += 1
            return state.nextToken
        }
        let timer = Task {
            try? await Task.sleep(for: .seconds(seconds))
            endPoll(token)
        }
        defer { timer.cancel() }
        await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
                update { state, effects in
                    if state.newest > number || state.isEnded || Task.isCancelled
                        || state.follower == nil
                    {
                        effects.poll = continuation
                    } else {
                        // The one before ends: a standby has one connection.
                        effects.poll = state.poll?.continuation
                        state.poll = (token, continuation)
                    }
                }
            }
        } onCancel: {
            endPoll(token)
        }
    }

    private func endPoll(_ token: Int) {
        update { state, effects in
            guard state.poll?.token == token else { return }
            effects.poll = state.poll?.continuation
            state.poll = nil
            state.follower?.heardAt = .now
        }
    }

    // MARK: Fencing

    var term: Int { state.withLock { $0.term } }

    func fence(term: Int) {
        update { state, effects in
            guard term > state.term else { return }
            state.term = term
            state.isFenced = true
            effects.event = .fenced(term: term)
        }
    }
}

/// The newest changes, encoded.
struct RetainedChanges {
    private struct Item {
        var bytes: [UInt8]
        var at: ContinuousClock.Instant
    }

    private var items: [Item] = []
    /// Items before it were removed.
    private var head = 0
    /// The number of the first.
    private(set) var first = 1
    private(set) var bytes = 0

    var count: Int { items.count - head }

    mutating func append(_ change: [UInt8], number: Int) {
        if count == 0 { first = number }
        items.append(Item(bytes: change, at: .now))
        bytes += change.count
    }

    mutating func removeFirst() {
        bytes -= items[head].bytes.count
        items[head].bytes = []
        head += 1
        first += 1
        if head > 1024, head > items.count / 2 {
            items.removeFirst(head)
            head = 0
        }
    }

    /// Whether all changes after `number` are here.
    func has(after number: Int, upTo newest: Int) -> Bool {
        number == newest || count > 0 && number + 1 >= first
    }

    private func items(after number: Int) -> ArraySlice<Item> {
        items[min(items.count, head + max(0, number + 1 - first))...]
    }

    /// The size of the changes after `number`, and when the first of them was made.
    func after(_ number: Int) -> (bytes: Int, oldest: ContinuousClock.Instant?) {
        let items = items(after: number)
        return (items.reduce(0) { $0 + $1.bytes.count }, items.first?.at)
    }

    /// One change after `number`, if there is any, and as many as fit.
    func bytes(after number: Int, atMost limit: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        for item in items(after: number) {
            if !bytes.isEmpty, bytes.count + item.bytes.count > limit { break }
            bytes += item.bytes
        }
        return bytes
    }
}
