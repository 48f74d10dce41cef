/// Why a stored or imported state is not read.
struct UnreadableSnapshot: Error, Equatable {
    /// The field that is wrong, by its path in the stored format; empty for the whole.
    var field = ""
    /// A sentence that begins after the field, if there is one.
    var reason: String

    var text: String { field.isEmpty ? reason : "\(field) \(reason)" }
}

// Validation of decoded states.
//
// The checksums of a store find damage, and not what another program wrote; an imported file may
// say anything. The engine validates its own part (`Optimizer.init(_:)`). What a session relies on
// beside it is checked here: each type has a `validate`.

/// Counters start below this, so that adding to them cannot overflow.
private let countMax = 1 << 62

func require(
    _ condition: Bool, _ field: @autoclosure () -> String, _ reason: @autoclosure () -> String
) throws(UnreadableSnapshot) {
    if !condition { throw UnreadableSnapshot(field: field(), reason: reason()) }
}

/// Checks a counter, or a number that is counted on from.
func requireCount(
    _ count: Int, from minimum: Int = 0, upTo maximum: Int = countMax,
    _ field: @autoclosure () -> String
) throws(UnreadableSnapshot) {
    try require(
        count >= minimum && count <= maximum, field(),
        "must be from \(minimum) to \(maximum), not \(count)")
}
