internal import COpenSSL

/// One computation of a message digest: owns an `EVP_MD_CTX`, and is the only code that calls
/// libcrypto's `EVP_Digest` functions.
///
/// A context is used by one thread at a time, which the value types that own it guarantee. The
/// algorithms are shared by all threads: libcrypto counts their references atomically.
///
/// The calls fail only when memory runs out or libcrypto has no such algorithm, neither of which a
/// caller can handle: both trap with libcrypto's reason.
@safe
final class DigestContext {
    /// Fetched once (`EVP_MD_fetch`): `EVP_sha256()` would look the algorithm up for every digest,
    /// which costs more than the digest of a short text.
    @safe
    struct Algorithm: Sendable {
        static let sha256 = Algorithm("SHA256")
        static let sha512 = Algorithm("SHA512")

        let byteCount: Int
        // Sound: libcrypto doesn't change an algorithm after it is fetched, and this one is never
        // freed.
        nonisolated(unsafe) fileprivate let pointer: OpaquePointer

        private init(_ name: String) {
            guard let pointer = unsafe EVP_MD_fetch(nil, name, nil) else {
                failed("EVP_MD_fetch(\(name))")
            }
            unsafe self.pointer = pointer
            byteCount = Int(unsafe EVP_MD_get_size(pointer))
        }
    }

    private let algorithm: Algorithm
    private let pointer: OpaquePointer

    init(_ algorithm: Algorithm) {
        guard let pointer = unsafe EVP_MD_CTX_new() else { failed("EVP_MD_CTX_new") }
        self.algorithm = algorithm
        unsafe self.pointer = pointer
        guard unsafe EVP_DigestInit_ex2(pointer, algorithm.pointer, nil) == 1 else {
            failed("EVP_DigestInit_ex2")
        }
    }

    /// Continues from where `other` is.
    init(copying other: DigestContext) {
        guard let pointer = unsafe EVP_MD_CTX_new() else { failed("EVP_MD_CTX_new") }
        algorithm = other.algorithm
        unsafe self.pointer = pointer
        guard unsafe EVP_MD_CTX_copy_ex(pointer, other.pointer) == 1 else {
            failed("EVP_MD_CTX_copy_ex")
        }
    }

    deinit { unsafe EVP_MD_CTX_free(pointer) }

    func update(_ bytes: UnsafeRawBufferPointer) {
        guard unsafe EVP_DigestUpdate(pointer, bytes.baseAddress, bytes.count) == 1 else {
            failed("EVP_DigestUpdate")
        }
    }

    /// The digest. The context can do nothing more after that.
    func finish() -> [UInt8] {
        // Sound: libcrypto writes `byteCount` bytes, all of those that are then initialized.
        unsafe [UInt8](unsafeUninitializedCapacity: algorithm.byteCount) { buffer, count in
            guard unsafe EVP_DigestFinal_ex(pointer, buffer.baseAddress, nil) == 1 else {
                failed("EVP_DigestFinal_ex")
            }
            count = algorithm.byteCount
        }
    }
}

/// Traps, with what libcrypto says about the last call of this thread.
func failed(_ call: String) -> Never {
    var text = [CChar](repeating: 0, count: 256)
    // Sound: libcrypto writes no more than it is told there is room for, and ends it with a zero.
    unsafe ERR_error_string_n(ERR_get_error(), &text, text.count)
    let reason = text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:))
    preconditionFailure("libcrypto: \(call) failed: \(String(decoding: reason, as: UTF8.self))")
}
