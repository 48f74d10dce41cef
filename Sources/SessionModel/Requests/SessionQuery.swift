package import struct Foundation.Date

/// Which sessions of a tenant a client wants to see, and in what order.
public struct SessionQuery: Equatable, Sendable {
    public struct Label: Equatable, Sendable {
        public var key: String
        public var value: String

        public init(key: String, value: String) {
            self.key = key
            self.value = value
        }
    }

    /// By what sessions are ordered. Those that have none of it come last; of equals, the newest
    /// comes first.
    public enum Order: String, Equatable, Sendable, CaseIterable {
        case created, updated, name
        case bestLoss = "best_loss"

        /// Whether the list begins with the largest unless the client says so.
        public var isDescendingByDefault: Bool { self == .created || self == .updated }
    }

    public var label: Label?
    public var name: String?
    public var state: SessionPhase?
    public var mode: Options.Mode?
    /// Found in name, identifier or a label as `key:value`, without regard to case.
    public var text: String?
    public var ensemble: EnsembleID?
    /// Only those without a name, and those that have not changed since; for purges, which have no
    /// pages.
    package var isUnnamed = false
    package var unchangedSince: Date?
    public var order: Order
    public var isDescending: Bool

    /// - Parameter isDescending: nil for the order's own.
    public init(
        label: Label? = nil, name: String? = nil, state: SessionPhase? = nil,
        mode: Options.Mode? = nil, text: String? = nil, ensemble: EnsembleID? = nil,
        order: Order = .created, isDescending: Bool? = nil
    ) {
        self.label = label
        self.name = name
        self.state = state
        self.mode = mode
        self.text = text
        self.ensemble = ensemble
        self.order = order
        self.isDescending = isDescending ?? order.isDescendingByDefault
    }

    /// Whether a store lists them itself: in its own order, by name and label alone.
    package var isStoreOrder: Bool {
        order == .created && isDescending && state == nil && mode == nil && text == nil
            && ensemble == nil
    }

    /// The same for queries that have the same answer.
    package var identity: [UInt8] {
        let parts = [
            label.map { "\($0.key):\($0.value)" }, name, state?.rawValue, mode?.rawValue, text,
            ensemble?.rawValue, order.rawValue, String(isDescending),
        ]
        return parts.flatMap { part in
            part.map { [1] + [UInt8]("\($0.utf8.count) \($0)".utf8) } ?? [0]
        }
    }
}
