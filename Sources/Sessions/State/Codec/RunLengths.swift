internal import Foundation

/// A vector on disk as runs of equal numbers: each is how many there are, an unsigned integer of
/// eight bytes, and the number in the session's dtype, all little-endian.
///
/// A parameter that was filled with one number, or a gradient that is zero, takes some bytes
/// instead of n numbers. Any other vector has so many runs that the search for them ends after a
/// few thousand numbers.
enum RunLengths {
    /// Shorter vectors are kept as they are.
    private static let bytesMin = 4096
    private static let runsMax = 1024

    /// nil if the vector is short, or its runs would not save much.
    static func encode(_ vector: Vector) -> Data? {
        switch vector {
        case .float64(let values): encode(values, as: \.bitPattern)
        case .float32(let values): encode(values, as: \.bitPattern)
        }
    }

    /// Numbers are compared by their bits, so that zeros keep their signs.
    private static func encode<Number, Bits: FixedWidthInteger>(
        _ values: [Number], as bits: (Number) -> Bits
    ) -> Data? {
        let size = MemoryLayout<Bits>.size
        guard values.count * size >= bytesMin, let first = values.first else { return nil }
        let most = min(runsMax, values.count * size / (8 * (8 + size)))
        var runs: [(count: UInt64, bits: Bits)] = [(0, bits(first))]
        for value in values {
            let next = bits(value)
            if runs[runs.count - 1].bits == next {
                runs[runs.count - 1].count += 1
            } else {
                guard runs.count < most else { return nil }
                runs.append((1, next))
            }
        }
        var data = Data(capacity: runs.count * (8 + size))
        for run in runs {
            append(run.count, to: &data)
            append(run.bits, to: &data)
        }
        return data
    }

    private static func append(_ number: some FixedWidthInteger, to data: inout Data) {
        for byte in 0..<number.bitWidth / 8 {
            data.append(UInt8(truncatingIfNeeded: number >> (8 * byte)))
        }
    }

    /// nil if the data are not the runs of `count` numbers.
    static func decode(_ data: Data, count: Int, as dtype: DType) -> Vector? {
        switch dtype {
        case .float64:
            decode(Array(data), count) { Double(bitPattern: $0) }.map { .float64($0) }
        case .float32:
            decode(Array(data), count) { Float(bitPattern: $0) }.map { .float32($0) }
        }
    }

    private static func decode<Number, Bits: FixedWidthInteger>(
        _ bytes: [UInt8], _ count: Int, as number: (Bits) -> Number
    ) -> [Number]? {
        let size = MemoryLayout<Bits>.size
        guard bytes.count.isMultiple(of: 8 + size) else { return nil }
        var values: [Number] = []
        // A damaged count must not take memory: the sum is compared before anything is made.
        var runs: [(count: Int, value: Number)] = []
        var total = 0
        for start in stride(from: 0, to: bytes.count, by: 8 + size) {
            let length: UInt64 = read(bytes[start..<start + 8])
            guard length > 0, length <= UInt64(count - total) else { return nil }
            total += Int(length)
            runs.append((Int(length), number(read(bytes[start + 8..<start + 8 + size]))))
        }
        guard total == count else { return nil }
        values.reserveCapacity(count)
        for run in runs { values.append(contentsOf: repeatElement(run.value, count: run.count)) }
        return values
    }

    private static func read<Number: FixedWidthInteger>(_ bytes: ArraySlice<UInt8>) -> Number {
        bytes.reversed().reduce(0) { $0 << 8 | Number($1) }
    }
}
