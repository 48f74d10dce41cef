internal import COpenSSL

/// HMAC with SHA-256 (RFC 2104), which proves that the sender of a message knows the key.
public enum HMACSHA256 {
    /// The code of the message, 32 bytes. A key may have any length; RFC 2104 advises 32 bytes.
    /// O(message).
    public static func authenticationCode(of message: [UInt8], key: [UInt8]) -> [UInt8] {
        // Sound: libcrypto reads as many bytes as the arrays have, and writes 32, all of those that
        // are then initialized.
        unsafe [UInt8](unsafeUninitializedCapacity: SHA256.byteCount) { buffer, count in
            let code = unsafe HMAC(
                EVP_sha256(), key, Int32(key.count), message, message.count, buffer.baseAddress,
                nil)
            // No memory, or a configuration of OpenSSL without HMAC: nothing a caller can handle.
            precondition(unsafe code != nil, "libcrypto's HMAC failed: \(ERR_get_error())")
            count = SHA256.byteCount
        }
    }
}
