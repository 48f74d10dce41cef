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
    /// Its name, or its position where parameters have no names.
    public func name(at index: Int) -> String { name ?? String(index) }

    /// The member of a safetensors header that is not a tensor.
    package static let reservedName = "__metadata__"
    package static let isReserved =
        "must not be \(reservedName), which safetensors keeps for itself"
}
