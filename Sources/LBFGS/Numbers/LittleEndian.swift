/// Converts numbers between the machine's byte order and little-endian order, which is that of
/// stored pairs; the conversion is its own inverse. O(1) on little-endian machines, else O(count).
/// - Parameters:
///   - octets: The numbers, one after the other.
///   - size: The octets of each number.
func convertedLittleEndian(_ octets: ArraySlice<UInt8>, size: Int) -> ArraySlice<UInt8> {
    if isLittleEndian { return octets }
    var swapped = octets
    for start in stride(from: octets.startIndex, to: octets.endIndex, by: size) {
        swapped[start..<start + size].reverse()
    }
    return swapped
}

/// Whether the machine's byte order is little-endian.
var isLittleEndian: Bool { UInt16(1).littleEndian == 1 }
