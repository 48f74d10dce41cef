/// A gradient as a client tells it.
public enum GradientInput: Equatable, Sendable {
    /// All parameters one after the other.
    case flat([Double])
    /// By parameter name; nil or absent is torch's `grad is None`: zeros.
    case named([String: [Double]?])
    /// All parameters one after the other, in the session's dtype, little-endian.
    case octets([UInt8])
    /// The same, where it is already.
    case vector(ReceivedVector)
    /// By parameter name; absent is zeros.
    case tensors([String: TensorInput])
    /// All parameters one after the other.
    case array(TensorInput)
    /// Tensors of which it was found before they came that they don't fit.
    case mismatch(TensorMismatch)
}

public enum TellRequest: Equatable, Sendable {
    case evaluated(loss: Double, gradient: GradientInput)
    /// The client could not evaluate the point: it is infeasible.
    case failed(reason: String)

    /// The gradient, if it came as it stays.
    package var arrived: ReceivedVector? {
        if case .evaluated(_, .vector(let arrived)) = self { arrived } else { nil }
    }

    /// Of the result, if it was made while it came.
    package var digest: Digest? {
        if case .evaluated(let loss, .vector(let arrived)) = self {
            arrived.digest(with: loss)
        } else {
            nil
        }
    }
}

/// New values for the parameters.
public enum ParametersInput: Equatable, Sendable {
    case flat([Double])
    /// By name or, where parameters have none, by position ("0", "1" ...); all of them.
    case named([String: [Double]])
    /// In the session's dtype, little-endian.
    case octets([UInt8])
    /// The same, where it is already.
    case vector(ReceivedVector)
    /// By name or position; all of them.
    case tensors([String: TensorInput])
    /// All parameters one after the other.
    case array(TensorInput)
    /// Tensors of which it was found before they came that they don't fit.
    case mismatch(TensorMismatch)
}
