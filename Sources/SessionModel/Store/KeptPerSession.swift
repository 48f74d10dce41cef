/// What a store keeps of a session beside its state, its trace and its checkpoints.
public struct KeptPerSession: Equatable, Sendable {
    /// Idempotency keys, the newest.
    public var idempotencyKeysMax: Int
    /// Messages that were delivered or given up, the newest.
    public var deliveriesMax: Int

    /// Surplus is looked for with every so many rows.
    package static let interval = 64

    public init(
        idempotencyKeysMax: Int = Limits().idempotencyKeysMax,
        deliveriesMax: Int = Limits().deliveriesMax
    ) {
        self.idempotencyKeysMax = idempotencyKeysMax
        self.deliveriesMax = deliveriesMax
    }

    /// What the scopes of a session's keys begin with, given one of them; nil for the scope of keys
    /// that are no session's.
    package static func prefix(of scope: String) -> String? {
        guard let slash = scope.firstIndex(of: "/"), SessionID(String(scope[..<slash])) != nil
        else {
            return nil
        }
        return String(scope[...slash])
    }
}
