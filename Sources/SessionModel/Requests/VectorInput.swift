/// A vector as a request carries it, parsed but not yet compared with the session: a gradient, or
/// new values for the parameters.
public enum VectorInput: Equatable, Sendable {
    /// From JSON: all parameters, one after the other.
    case flat([Double])
    /// From JSON: by parameter name or, where parameters have none, by position ("0", "1" ...). In
    /// a gradient a null or absent parameter is torch's `grad is None`, which counts as zeros; new
    /// values need every parameter.
    case named([String: [Double]?])
    /// A binary body that was collected whole.
    case collected(CollectedVector)
    /// A binary body that was placed in the session's order while it arrived.
    case received(ReceivedVector)
    /// A binary body that was discarded while it arrived, because its header does not fit.
    case mismatch(VectorMismatch)

    /// A collected body of bare numbers in the session's dtype, little-endian.
    public static func octets(_ body: [UInt8]) -> VectorInput {
        .collected(CollectedVector(.octets(byteCount: body.count), body: body, start: 0))
    }
}

/// The result of an evaluation as a client tells it.
public enum TellRequest: Equatable, Sendable {
    case evaluated(loss: Double, gradient: VectorInput)
    /// The client could not evaluate the point: it is infeasible.
    case failed(reason: String)

    /// The gradient, if it was placed while it arrived.
    package var received: ReceivedVector? {
        if case .evaluated(_, .received(let received)) = self { received } else { nil }
    }

    /// The result's digest, if it was computed while the gradient arrived.
    package var digest: Digest? {
        if case .evaluated(let loss, .received(let received)) = self {
            received.digest(with: loss)
        } else {
            nil
        }
    }
}
