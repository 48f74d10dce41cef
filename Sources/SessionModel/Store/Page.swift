/// Where a listing continues. Clients receive it as opaque text.
public struct PageToken: Equatable, Sendable {
    /// A position in the store's own order. The items below it come next.
    public var below: Int64

    public init(below: Int64) { self.below = below }
}

public struct Page<Item: Sendable>: Sendable {
    public var items: [Item]
    public var next: PageToken?

    public init(items: [Item], next: PageToken?) {
        self.items = items
        self.next = next
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
