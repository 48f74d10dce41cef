/// A vector in the session's parameter order, and what was prepared while it arrived.
public struct ReceivedVector: Sendable, Equatable {
    /// In the session's dtype; from JSON in Float64.
    public let vector: Vector
    /// The named tensors that it was assembled from; nil when the numbers came flat.
    package let tensors: ReceivedTensors?
    private let preparation: (any ResultPreparation)?

    package init(
        vector: Vector, tensors: ReceivedTensors? = nil, preparation: (any ResultPreparation)? = nil
    ) {
        self.vector = vector
        self.tensors = tensors
        self.preparation = preparation
    }

    /// The digest of the result that has this gradient and `loss`; nil unless it was prepared.
    package func digest(with loss: Double) -> Digest? { preparation?.digest(with: loss) }

    /// Whether the store has already been given the bytes.
    package var isStaged: Bool { preparation?.isStaged ?? false }

    /// Waits until the bytes are durable, and returns what a batch names in their place; nil unless
    /// they were staged. To be called once.
    package func staged() async -> Result<Octets, StoreError>? { await preparation?.staged() }

    public static func == (one: ReceivedVector, other: ReceivedVector) -> Bool {
        one.vector == other.vector
    }
}

/// Work on a result that was done while its gradient arrived.
package protocol ResultPreparation: AnyObject, Sendable {
    /// nil when the loss differs from the one that was announced.
    func digest(with loss: Double) -> Digest?
    var isStaged: Bool { get }
    func staged() async -> Result<Octets, StoreError>?
}

/// The named tensors that a vector was assembled from.
package struct ReceivedTensors: Equatable, Sendable {
    package var names: Set<String>
    /// The session's parameters when the tensors began to arrive.
    package var specs: [ParameterSpec]

    package init(names: Set<String>, specs: [ParameterSpec]) {
        self.names = names
        self.specs = specs
    }
}
