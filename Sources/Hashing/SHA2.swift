internal import COpenSSL

// SHA-2 (FIPS 180-4) of bytes that arrive in pieces, computed by libcrypto with the processor's
// instructions for it. The states are values: a copy continues on its own, and nothing is shared
// between threads. libcrypto's functions on them can't fail; their results are 1 for historical
// reasons.

/// SHA-256.
public struct SHA256: Sendable {
    public static let byteCount = 32

    private var state = SHA256_CTX()

    public init() { unsafe _ = SHA256_Init(&state) }

    /// Hashes the next piece; the pieces' lengths don't matter. O(bytes).
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        unsafe _ = SHA256_Update(&state, bytes.baseAddress, bytes.count)
    }

    public mutating func update(_ bytes: [UInt8]) {
        // Sound: the array outlives the call.
        unsafe bytes.withUnsafeBytes { unsafe update($0) }
    }

    /// The digest of all pieces: `byteCount` bytes.
    public consuming func finalize() -> [UInt8] {
        // Sound: libcrypto writes `byteCount` bytes, all of those that are then initialized.
        unsafe [UInt8](unsafeUninitializedCapacity: Self.byteCount) { buffer, count in
            unsafe _ = SHA256_Final(buffer.baseAddress, &state)
            count = Self.byteCount
        }
    }

    public static func hash(_ bytes: [UInt8]) -> [UInt8] {
        var hash = SHA256()
        hash.update(bytes)
        return hash.finalize()
    }
}

/// SHA-512.
public struct SHA512: Sendable {
    public static let byteCount = 64

    private var state = SHA512_CTX()

    public init() { unsafe _ = SHA512_Init(&state) }

    /// Hashes the next piece; the pieces' lengths don't matter. O(bytes).
    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        unsafe _ = SHA512_Update(&state, bytes.baseAddress, bytes.count)
    }

    public mutating func update(_ bytes: [UInt8]) {
        // Sound: the array outlives the call.
        unsafe bytes.withUnsafeBytes { unsafe update($0) }
    }

    /// The digest of all pieces: `byteCount` bytes.
    public consuming func finalize() -> [UInt8] {
        // Sound: libcrypto writes `byteCount` bytes, all of those that are then initialized.
        unsafe [UInt8](unsafeUninitializedCapacity: Self.byteCount) { buffer, count in
            unsafe _ = SHA512_Final(buffer.baseAddress, &state)
            count = Self.byteCount
        }
    }
}
