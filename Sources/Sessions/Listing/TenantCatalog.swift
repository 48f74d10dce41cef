/// The sessions of one tenant, as lists show them, and kept as they change.
///
/// A session stays at its place in `slots`, so that a reader can go through them a part at a time
/// and sees each once, though some change in between.
struct TenantCatalog {
    private(set) var slots: [ListedSession?] = []
    private var places: [SessionID: Int] = [:]
    private var free: [Int] = []
    /// About what all of them take in memory.
    private(set) var bytes = 0
    /// Sessions that the store lists, but can't show.
    private(set) var damaged = DamagedSessions()
    /// Until all are read, those that were deleted meanwhile.
    private var deleted: Set<SessionID>? = []
    /// Orders uses.
    var lastUse = 0

    var isComplete: Bool { deleted == nil }

    /// Enters a session as it was read from the store, unless something newer is known of it.
    mutating func enter(_ session: ListedSession) {
        if deleted?.contains(session.id) == true { return }
        if let place = places[session.id], let known = slots[place], !session.isNewer(than: known) {
            return
        }
        put(session)
    }

    mutating func enter(_ others: DamagedSessions) {
        damaged.count += others.count
        damaged.ids += others.ids
    }

    /// All sessions of the store have been entered.
    mutating func complete() { deleted = nil }

    mutating func put(_ session: ListedSession) {
        if let place = places[session.id] {
            bytes += session.bytes - (slots[place]?.bytes ?? 0)
            slots[place] = session
            return
        }
        bytes += session.bytes
        if let place = free.popLast() {
            slots[place] = session
            places[session.id] = place
        } else {
            places[session.id] = slots.count
            slots.append(session)
        }
    }

    /// Changes a session that is entered; returns false if it isn't.
    mutating func update(_ id: SessionID, _ change: (ListedSession) -> ListedSession) -> Bool {
        guard let place = places[id], let known = slots[place] else { return false }
        slots[place] = change(known)
        return true
    }

    mutating func remove(_ id: SessionID) {
        deleted?.insert(id)
        if damaged.ids.contains(id) {
            damaged.ids.removeAll { $0 == id }
            damaged.count -= 1
        }
        guard let place = places.removeValue(forKey: id) else { return }
        bytes -= slots[place]?.bytes ?? 0
        slots[place] = nil
        free.append(place)
    }
}

/// The first sessions of a list, as they are found in no order. O(n) for a page of few.
struct FirstOfList {
    private let query: SessionQuery
    private let text: [UInt8]?
    private let after: ListCursor?
    private let count: Int
    private(set) var found: [(cursor: ListCursor, session: ListedSession)] = []
    /// How many sessions the query asks for, on all pages.
    private(set) var matchCount = 0

    /// - Parameters:
    ///   - after: Where the list continues; nil at its start.
    ///   - count: The most sessions that are wanted.
    init(_ query: SessionQuery, after: ListCursor?, count: Int) {
        self.query = query
        text = query.text.map { Array($0.lowercased().utf8) }
        self.after = after
        self.count = count
    }

    mutating func consider(_ session: ListedSession) {
        guard session.matches(query, text: text) else { return }
        matchCount += 1
        let cursor = session.cursor(in: query.order)
        if let after, !precedes(after, cursor) { return }
        if found.count == count, let last = found.last, !precedes(cursor, last.cursor) { return }
        var (low, high) = (0, found.count)
        while low < high {
            let middle = (low + high) / 2
            if precedes(found[middle].cursor, cursor) { low = middle + 1 } else { high = middle }
        }
        found.insert((cursor, session), at: low)
        if found.count > count { found.removeLast() }
    }

    private func precedes(_ first: ListCursor, _ second: ListCursor) -> Bool {
        first.precedes(second, isDescending: query.isDescending)
    }
}
