/// Which sessions a list has: those that meet all of it.
public struct SessionFilter: Sendable {
    /// Those that carry this label with this value.
    public var label: (key: String, value: String)?
    /// Those of this name, which several may have.
    public var name: String?
    /// Those of one tenant; nil for those of all.
    public var tenant: String?

    public init(
        label: (key: String, value: String)? = nil, name: String? = nil, tenant: String? = nil
    ) {
        self.label = label
        self.name = name
        self.tenant = tenant
    }
}
