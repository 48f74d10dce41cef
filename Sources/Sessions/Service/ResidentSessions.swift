package import struct Foundation.Date

/// Which sessions are in memory, when each was last used, and how much memory they may need.
///
/// A ledger of estimates, not of what the allocator holds. A session counts with its vectors and a
/// full history from the moment it begins to load, so that it need not be refused when its history
/// has grown.
package struct ResidentSessions {
    /// What a session takes beside its vectors: the objects, the records, the small matrices.
    static let overheadBytes = 16 << 10

    package struct Slot {
        var session: Session?
        var loading: Task<Loaded, Never>?
        /// Whose it is, once that is known.
        var tenant: String?
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
    /// Reserved by the sessions of each tenant.
    private var bytesOfTenants: [String: Int] = [:]
    package init() {}

    /// Orders uses.
    private var clock = 0
    var isShuttingDown = false
    /// Whether sessions are being evicted in advance, so that the next loads need not wait.
    var isClearing = false
    /// How many callers hold each session, which is not evicted to make room meanwhile.
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

    /// Gives the session an empty slot. What was reserved for it stays reserved.
    package mutating func begin(_ id: SessionID, loading: Task<Loaded, Never>?, at time: Date) {
        clock += 1
        slots[id] = Slot(
            session: nil, loading: loading, tenant: slots[id]?.tenant,
            reserved: slots[id]?.reserved ?? 0, lastUse: clock, lastUsedAt: time)
    }

    /// Returns false if another object has the slot, or is being loaded into it.
    package mutating func place(_ session: Session, replacing loading: Bool) -> Bool {
        guard let slot = slots[session.id], slot.session == nil,
            (slot.loading != nil) == loading
        else { return false }
        slots[session.id]?.session = session
        slots[session.id]?.loading = nil
        return true
    }

    package mutating func remove(_ id: SessionID) {
        set(0, for: id)
        slots[id] = nil
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

    // MARK: Budget

    /// Reserves memory for a session that has a slot; false if the budget does not allow it. A
    /// session larger than the whole budget is allowed when it is alone, or beside `companion`.
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

    /// Changes what is reserved for a session that has grown or shrunk.
    package mutating func resize(_ session: Session, to needed: Int) {
        if slots[session.id]?.session === session { set(needed, for: session.id) }
    }

    private mutating func set(_ needed: Int, for id: SessionID) {
        let more = needed - (slots[id]?.reserved ?? 0)
        bytes += more
        if let tenant = slots[id]?.tenant { bytesOfTenants[tenant, default: 0] += more }
        slots[id]?.reserved = needed
    }

    /// Says whose session has the slot, before anything is reserved for it.
    package mutating func assign(_ id: SessionID, to tenant: String) {
        guard let slot = slots[id], slot.tenant == nil else { return }
        slots[id]?.tenant = tenant
        bytesOfTenants[tenant, default: 0] += slot.reserved
    }

    /// Reserved by the tenant's sessions, but for one.
    package func bytes(of tenant: String, except id: SessionID? = nil) -> Int {
        let own = id.flatMap { slots[$0] }
        let excepted = own?.tenant == tenant ? own?.reserved ?? 0 : 0
        return (bytesOfTenants[tenant] ?? 0) - excepted
    }

    /// The least recently used sessions that hold `wanted` bytes together; fewer if there are not
    /// so many that nobody holds.
    package func leastRecentlyUsed(
        holding wanted: Int, except passedOver: Set<SessionID>, of tenant: String? = nil
    ) -> [(id: SessionID, session: Session)] {
        var taken = 0
        var found: [(id: SessionID, session: Session)] = []
        for (id, slot) in slots.sorted(by: { $0.value.lastUse < $1.value.lastUse }) {
            guard taken < wanted else { break }
            guard let session = slot.session, holders[id] == nil, !passedOver.contains(id),
                tenant == nil || slot.tenant == tenant
            else { continue }
            taken += slot.reserved
            found.append((id, session))
        }
        return found
    }

    /// Sessions to evict in advance: when less than a sixteenth of the budget is left, those that
    /// hold another sixteenth. The newcomer is not one of them.
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
