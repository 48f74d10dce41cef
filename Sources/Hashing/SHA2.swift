// SHA-2 (FIPS 180-4) of bytes that arrive in pieces, computed by libcrypto with the processor's
// instructions for it.

/// SHA-256. A copy continues on its own: its context is copied before either of the two changes.
public struct SHA256: Sendable {
    public static let byteCount = 32

    private var state = SHA2State(.sha256)

    public init() {}

    /// Hashes the next piece; the pieces' lengths don't matter. O(bytes).
    public mutating func update(_ bytes: UnsafeRawBufferPointer) { unsafe state.update(bytes) }

    public mutating func update(_ bytes: [UInt8]) {
        // Sound: the array outlives the call.
        unsafe bytes.withUnsafeBytes { unsafe state.update($0) }
    }

    /// The digest of all pieces: `byteCount` bytes.
    public consuming func finalize() -> [UInt8] { state.finalize() }

    public static func hash(_ bytes: [UInt8]) -> [UInt8] {
        var hash = SHA256()
        hash.update(bytes)
        return hash.finalize()
    }
}

/// SHA-512. A copy continues on its own, as one of `SHA256` does.
public struct SHA512: Sendable {
    public static let byteCount = 64

    private var state = SHA2State(.sha512)

    public init() {}

    /// Hashes the next piece; the pieces' lengths don't matter. O(bytes).
    public mutating func update(_ bytes: UnsafeRawBufferPointer) { unsafe state.update(bytes) }

    public mutating func update(_ bytes: [UInt8]) {
        // Sound: the array outlives the call.
        unsafe bytes.withUnsafeBytes { unsafe state.update($0) }
    }

    /// The digest of all pieces: `byteCount` bytes.
    public consuming func finalize() -> [UInt8] { state.finalize() }
}

/// What the two have in common: a context that is copied when it is shared.
///
/// Sound as Sendable: a context is read and changed only by a value that holds the one reference
/// to it, and a shared one is read only to be copied.
private struct SHA2State: @unchecked Sendable {
    private var context: DigestContext

    init(_ algorithm: DigestContext.Algorithm) { context = DigestContext(algorithm) }

    private mutating func makeUnique() {
        if !isKnownUniquelyReferenced(&context) { context = DigestContext(copying: context) }
    }

    mutating func update(_ bytes: UnsafeRawBufferPointer) {
        makeUnique()
        unsafe context.update(bytes)
    }

    consuming func finalize() -> [UInt8] {
        makeUnique()
        return context.finish()
    }
}
