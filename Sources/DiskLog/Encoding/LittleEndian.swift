// The one codec of little-endian integers. Inlinable, so that other modules specialize it.

extension [UInt8] {
    @inlinable
    package mutating func appendLittleEndian(_ integer: some FixedWidthInteger) {
        // Sound: the integer's bytes are copied within the call.
        unsafe Swift.withUnsafeBytes(of: integer.littleEndian) { unsafe append(contentsOf: $0) }
    }

    /// Overwrites the bytes from `offset` on.
    @inlinable
    package mutating func setLittleEndian(_ integer: some FixedWidthInteger, at offset: Int) {
        // Sound: as above; the subscript checks that the bytes exist.
        unsafe Swift.withUnsafeBytes(of: integer.littleEndian) { bytes in
            for index in 0..<bytes.count { self[offset + index] = unsafe bytes[index] }
        }
    }
}

/// Reads integers and byte strings from the start of a slice. Each method returns nil, and leaves
/// the slice as it is, when too few bytes are left.
package struct LittleEndianReader {
    package private(set) var rest: ArraySlice<UInt8>

    package init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    package var isAtEnd: Bool { rest.isEmpty }

    package mutating func byte() -> UInt8? { rest.popFirst() }

    @inlinable
    package mutating func integer<Integer: FixedWidthInteger>(_: Integer.Type) -> Integer? {
        guard let bytes = bytes(Integer.bitWidth / 8) else { return nil }
        return bytes.reversed().reduce(0) { $0 << 8 | Integer(truncatingIfNeeded: $1) }
    }

    package mutating func bytes(_ count: Int) -> ArraySlice<UInt8>? {
        guard count >= 0, count <= rest.count else { return nil }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }
}
