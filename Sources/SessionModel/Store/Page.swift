/// Where a listing goes on. Opaque to clients, who get it as text.
public struct PageToken: Equatable, Sendable {
    /// The store's own order: items below it come next.
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
}
