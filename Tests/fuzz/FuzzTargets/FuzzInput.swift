/// A target takes any bytes, and returns unless it found a defect.
typealias FuzzTarget = @Sendable (_ input: [UInt8]) -> Void

/// Reads numbers from an input, and zeros after its end.
struct FuzzInput {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: some Sequence<UInt8>) { rest = Array(bytes)[...] }

    var isEmpty: Bool { rest.isEmpty }

    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    mutating func bytes(_ count: Int) -> [UInt8] {
        let taken = rest.prefix(count)
        rest = rest.dropFirst(count)
        return Array(taken)
    }

    mutating func length() -> Int { Int(byte()) << 8 | Int(byte()) }

    /// Any bit pattern, and often a small number.
    mutating func double() -> Double {
        let first = byte()
        if first < 0x80 { return Double(Int(first) - 64) / 8 }
        let bits = (0..<8).reduce(UInt64(0)) { bits, _ in bits << 8 | UInt64(byte()) }
        return Double(bitPattern: bits)
    }

    mutating func remaining() -> [UInt8] { bytes(rest.count) }
}
