/// Where a listing continues. Clients receive it as opaque text.
public struct PageToken: Equatable, Sendable {
    /// A position in the store's own order. The items below it come next.
    public var below: Int64
    /// A `ListCursor`, in a list that has another order; `below` means nothing then.
    public var cursor: [UInt8]?

    public init(below: Int64) { self.below = below }

    public init(cursor: [UInt8]) {
        below = 0
        self.cursor = cursor
    }
}

public struct Page<Item: Sendable>: Sendable {
    public var items: [Item]
    public var next: PageToken?
    /// What a page of sessions leaves out.
    public var damaged = DamagedSessions()

    public init(
        items: [Item], next: PageToken?, damaged: DamagedSessions = DamagedSessions()
    ) {
        self.items = items
        self.next = next
        self.damaged = damaged
    }

    /// The first `size` items of a listing.
    /// - Parameter numbered: Items with their positions in the store's order, highest first; at
    ///   least `size + 1` of them, if there are so many.
    package init(_ numbered: some Sequence<(number: Int64, item: Item)>, size: Int) {
        let found = Array(numbered.prefix(size + 1))
        items = found.prefix(size).map(\.item)
        next = found.count > size ? PageToken(below: found[size - 1].number) : nil
    }
}

/// Sessions that a list can't show, since what is stored of them is damaged.
public struct DamagedSessions: Equatable, Sendable {
    public var count = 0
    /// Those of them whose identifiers, and whose they are, can be proved.
    public var ids: [SessionID] = []

    public init() {}

    package mutating func add(_ id: SessionID?) {
        count += 1
        if let id { ids.append(id) }
    }
}
