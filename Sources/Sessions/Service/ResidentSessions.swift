package import struct Foundation.Date

/// Which sessions are in memory, when each was used last, and what they may come to need there.
///
/// A ledger of estimates, not of what the allocator holds: a session counts with its vectors and a
/// full history from the moment it begins to load, so that none has to be turned away when its
/// history has grown.
package struct ResidentSessions {
    /// What a session takes beside its vectors: the objects, the records, the small matrices.
    static let overheadBytes = 16 << 10

    package struct Slot {
        var session: Session?
        var loading: Task<Loaded, Never>?
        /// Counted in `bytes`.
        var reserved = 0
        var lastUse: Int
        var lastUsedAt: Date
    }

    package enum Loaded {
        case session(Session)
        case failed(SessionError)
    }

    package private(set) var slots: [SessionID: Slot] = [:]
    /// Reserved by all together.
    package private(set) var bytes = 0
    package init() {}

    /// Orders uses.
    private var clock = 0
    var isShuttingDown = false
    /// Whether some are on their way out so that those to come need not wait.
    var isClearing = false
    /// How many callers hold each session that isn't asked to leave meanwhile.
    private var holders: [SessionID: Int] = [:]

    package var sessions: [(id: SessionID, session: Session)] {
        slots.compactMap { id, slot in slot.session.map { (id, $0) } }
    }

    /// The session's slot, if it has one, used now.
    package mutating func use(_ id: SessionID, at time: Date) -> Slot? {
        guard let index = slots.index(forKey: id) else { return nil }
        clock += 1
        slots.values[index].lastUse = clock
        slots.values[index].lastUsedAt = time
        return slots.values[index]
    }

    /// What was reserved for it stays.
    package mutating func begin(_ id: SessionID, loading: Task<Loaded, Never>?, at time: Date) {
        clock += 1
        slots[id] = Slot(
            session: nil, loading: loading, reserved: slots[id]?.reserved ?? 0, lastUse: clock,
            lastUsedAt: time)
    }

    /// False if another object has the place, or is about to.
    package mutating func place(_ session: Session, replacing loading: Bool) -> Bool {
        guard let slot = slots[session.id], slot.session == nil,
            (slot.loading != nil) == loading
        else { return false }
        slots[session.id]?.session = session
        slots[session.id]?.loading = nil
        return true
    }

    package mutating func remove(_ id: SessionID) {
        bytes -= slots.removeValue(forKey: id)?.reserved ?? 0
    }

    package mutating func remove(_ id: SessionID, _ session: Session) {
        if slots[id]?.session === session { remove(id) }
    }

    /// Until `release`, the session is not evicted to make room.
    package mutating func hold(_ id: SessionID) { holders[id, default: 0] += 1 }

    package mutating func release(_ id: SessionID) {
        guard let count = holders[id] else { return }
        holders[id] = count > 1 ? count - 1 : nil
    }

    // MARK: Room

    /// Reserves room for a session that has a slot; false if there isn't so much. What is larger
    /// than the whole budget is let in when it is alone, or with `companion`.
    package mutating func reserve(
        _ needed: Int, for id: SessionID, beside companion: SessionID? = nil, within budget: Int
    ) -> Bool {
        guard let slot = slots[id] else { return false }
        let others = bytes - slot.reserved
        let accompanying = companion.flatMap { slots[$0]?.reserved } ?? 0
        guard others <= accompanying || needed <= budget - others else { return false }
        set(needed, for: id)
        return true
    }

    /// A session that is here has grown or shrunk.
    package mutating func resize(_ session: Session, to needed: Int) {
        if slots[session.id]?.session === session { set(needed, for: session.id) }
    }

    private mutating func set(_ needed: Int, for id: SessionID) {
        bytes += needed - (slots[id]?.reserved ?? 0)
        slots[id]?.reserved = needed
    }

    /// The least recently used sessions that take `wanted` bytes together, or all there are that
    /// nobody holds.
    package func leastRecentlyUsed(
        holding wanted: Int, except passedOver: Set<SessionID>
    ) -> [(id: SessionID, session: Session)] {
        var taken = 0
        var found: [(id: SessionID, session: Session)] = []
        for (id, slot) in slots.sorted(by: { $0.value.lastUse < $1.value.lastUse }) {
            guard taken < wanted else { break }
            guard let session = slot.session, holders[id] == nil, !passedOver.contains(id) else {
                continue
            }
            taken += slot.reserved
            found.append((id, session))
        }
        return found
    }

    /// Those that had better leave now: when little of the budget is left, as much again. The
    /// newcomer, for whom the others left, isn't one of them.
    package mutating func beginClearing(
        _ budget: Int, except newcomer: SessionID
    ) -> [(id: SessionID, session: Session)] {
        let margin = budget / 16
        guard !isClearing, bytes > budget - margin else { return [] }
        let leaving = leastRecentlyUsed(holding: margin, except: [newcomer])
        isClearing = !leaving.isEmpty
        return leaving
    }

    /// The least recently used sessions above a limit on their number, a tenth of it at a time.
    package func overCrowding(_ maximum: Int) -> [(id: SessionID, session: Session)] {
        guard slots.count > maximum else { return [] }
        let count = slots.count - maximum + maximum / 10
        return slots.sorted { $0.value.lastUse < $1.value.lastUse }.prefix(count).compactMap {
            id, slot in holders[id] == nil ? slot.session.map { (id, $0) } : nil
        }
    }

    package func idle(since deadline: Date) -> [(id: SessionID, session: Session)] {
        slots.compactMap { id, slot in
            slot.lastUsedAt < deadline ? slot.session.map { (id, $0) } : nil
        }
    }
}
