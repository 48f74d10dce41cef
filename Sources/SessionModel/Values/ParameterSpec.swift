// What a store keeps of a session. Plain values: they know neither SQL nor HTTP.

/// One parameter tensor: its name, if it has one, and its shape (row-major; [] is a scalar).
public struct ParameterSpec: Equatable, Sendable, Codable {
    public var name: String?
    public var shape: [Int]

    public init(name: String?, shape: [Int]) {
        self.name = name
        self.shape = shape
    }

    public var count: Int { shape.reduce(1, *) }
}

extension ParameterSpec {
    /// Its name or, as parameters without one are called where names are needed, its position.
    public func name(at index: Int) -> String { name ?? String(index) }

    /// What a safetensors file calls that which is no tensor.
    package static let reservedName = "__metadata__"
    package static let isReserved =
        "must not be \(reservedName), which safetensors keeps for itself"
}
