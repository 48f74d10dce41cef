/// A snapshot that no optimizer can have taken, and which part of it is wrong.
public enum SnapshotError: Error, Equatable, Sendable {
    /// A vector that the state needs is missing.
    case missingVector(String)
    /// A vector has another length than the parameters.
    case wrongLength(String, expected: Int, got: Int)
    /// The snapshot was taken by an engine with a newer ``numericsVersion``.
    case newerNumerics(Int)
    /// A field, by its path in the stored format, has a value that no state has.
    case invalid(field: String, reason: String)

    /// The vector or the scalar that is wrong.
    public var field: String {
        switch self {
        case .missingVector(let name), .wrongLength(let name, _, _): name
        case .newerNumerics: "numerics"
        case .invalid(let field, _): field
        }
    }

    /// What is wrong: a sentence that begins after the field.
    public var reason: String {
        switch self {
        case .missingVector: "is missing"
        case .wrongLength(_, let expected, let got):
            "has \(got) numbers, and the parameters have \(expected)"
        case .newerNumerics(let version):
            "is \(version), and this engine knows versions 1 to \(numericsVersion)"
        case .invalid(_, let reason): reason
        }
    }
}

// Validation of decoded states.
//
// A snapshot may come from anywhere. Whatever it says, the optimizer that is made of it must not
// trap, loop or access memory that is not its own. Each type of the state has a `validate` for
// that: it checks what the type's own code relies on, and no more. What it does not check can make
// a run pointless, but does no harm. O(1), apart from the vectors.

/// Counters start below this, so that adding to them cannot overflow.
let storedCountMax = 1 << 62

/// Throws `invalid` unless the condition holds.
@inline(__always)
func require(
    _ condition: Bool, _ field: @autoclosure () -> String, _ reason: @autoclosure () -> String
) throws(SnapshotError) {
    if !condition { throw .invalid(field: field(), reason: reason()) }
}

/// Checks a counter.
func requireCount(
    _ count: Int, from minimum: Int = 0, upTo maximum: Int = storedCountMax,
    _ field: @autoclosure () -> String
) throws(SnapshotError) {
    try require(
        count >= minimum && count <= maximum, field(),
        "must be from \(minimum) to \(maximum), not \(count)")
}

/// Checks a step length, which is a bound of intervals.
func requireStepLength(
    _ length: Double, _ field: @autoclosure () -> String
) throws(SnapshotError) {
    try require(
        length.isFinite && length >= 0, field(), "must be finite and at least 0, not \(length)")
}

extension Options {
    func validate(_ path: @autoclosure () -> String) throws(SnapshotError) {
        do throws(OptionError) {
            try validate()
        } catch {
            throw .invalid(field: "\(path()).\(error.option)", reason: error.reason)
        }
    }
}
