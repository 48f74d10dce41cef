internal import Hashing

/// Encrypts the positions in page tokens. A position counts the rows of all tenants; a tenant that
/// saw it could learn how many sessions the others create.
///
/// A Feistel network of four rounds (Luby and Rackoff, 1988) over 64 bits, whose round function is
/// HMAC-SHA-256 with a key of the store's.
package enum PageTokenCipher {
    package static func seal(_ position: Int64, _ key: [UInt8]) -> Int64 {
        var (left, right) = halves(position)
        for round in 0..<4 { (left, right) = (right, left ^ mixed(right, UInt8(round), key)) }
        return joined(left, right)
    }

    /// nil unless the token was made with the key. Positions have fewer than 48 bits, so that one
    /// of 65,536 other texts passes; it is then a place in the caller's own list.
    package static func open(_ sealed: Int64, _ key: [UInt8]) -> Int64? {
        var (left, right) = halves(sealed)
        for round in (0..<4).reversed() {
            (left, right) = (right ^ mixed(left, UInt8(round), key), left)
        }
        let position = joined(left, right)
        return (0..<(1 << 48)).contains(position) ? position : nil
    }

    private static func halves(_ position: Int64) -> (UInt32, UInt32) {
        let bits = UInt64(bitPattern: position)
        return (UInt32(truncatingIfNeeded: bits >> 32), UInt32(truncatingIfNeeded: bits))
    }

    private static func joined(_ left: UInt32, _ right: UInt32) -> Int64 {
        Int64(bitPattern: UInt64(left) << 32 | UInt64(right))
    }

    private static func mixed(_ half: UInt32, _ round: UInt8, _ key: [UInt8]) -> UInt32 {
        let message = [round] + (0..<4).map { UInt8(truncatingIfNeeded: half >> (8 * $0)) }
        let code = HMACSHA256.authenticationCode(of: message, key: key)
        return code.prefix(4).reduce(0) { $0 << 8 | UInt32($1) }
    }
}
