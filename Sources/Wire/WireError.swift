public import struct SessionModel.FieldError

/// Why bytes could not be read as what they should be.
public enum WireError: Error, Equatable, Sendable {
    /// Not the format at all: nothing of it can be trusted. Says where and why.
    case malformed(String)
    /// The format is right, the content isn't: a field is missing, unknown or of the wrong type.
    case invalid([FieldError])

    static func invalid(_ field: String, _ reason: String) -> WireError {
        .invalid([FieldError(field: field, reason: reason)])
    }
}
