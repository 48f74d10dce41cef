internal import CSobol

/// Sobol's sequence (1967) with the direction numbers of Joe and Kuo (2008), new-joe-kuo-6.21201.
///
/// Coordinate j of point i is the exclusive or of v_jk over the bits k of i's Gray code
/// i ^ (i >> 1), times 2^-32, where v_jk = m_jk 2^(32 - k). The m_jk of the first s come from the
/// table, and those after them from the recurrence of the primitive polynomial
/// x^s + a_1 x^(s - 1) + ... + a_(s - 1) x + 1:
///
///     m_k = 2 a_1 m_(k-1) ^ 4 a_2 m_(k-2) ^ ... ^ 2^(s-1) a_(s-1) m_(k-s+1)
///           ^ 2^s m_(k-s) ^ m_(k-s)
///
/// The first 2^30 points are those of SciPy's `qmc.Sobol(d, scramble=False)`, bit for bit. Point 0
/// is the origin.
package struct SobolSequence: Sendable {
    /// Dimensions for which there are direction numbers.
    package static let dimensionsMax = 21_201
    static let bits = 32
    /// Points that the direction numbers tell apart.
    static let pointsMax = 1 << 30

    /// `bits` numbers for each dimension.
    private let directions: [UInt32]
    let dimensions: Int

    /// - Precondition: `dimensions` is from 1 to `dimensionsMax`.
    package init(dimensions: Int) {
        precondition((1...Self.dimensionsMax).contains(dimensions), "\(dimensions) dimensions")
        self.dimensions = dimensions
        var directions: [UInt32] = []
        directions.reserveCapacity(Self.bits * dimensions)
        for k in 1...Self.bits { directions.append(1 << UInt32(Self.bits - k)) }
        var table = BitReader()
        for _ in 1..<dimensions {
            directions += Self.directions(of: &table)
        }
        self.directions = directions
    }

    private static func directions(of table: inout BitReader) -> [UInt32] {
        let degree = table.read(5)
        let coefficients = table.read(degree - 1)
        var m = (1...degree).map { UInt32(table.read($0 - 1)) << 1 | 1 }
        for k in degree..<bits {
            var next = m[k - degree] ^ m[k - degree] << UInt32(degree)
            for i in 1..<max(1, degree) where coefficients >> (degree - 1 - i) & 1 == 1 {
                next ^= m[k - i] << UInt32(i)
            }
            m.append(next)
        }
        return m.enumerated().map { $1 << UInt32(bits - 1 - $0) }
    }

    /// The coordinates of a point, times 2^32. O(dimensions * log index).
    package func point(_ index: Int) -> [UInt32] {
        var coordinates = [UInt32](repeating: 0, count: dimensions)
        var gray = UInt32(index) ^ UInt32(index) >> 1
        while gray != 0 {
            let k = gray.trailingZeroBitCount
            gray &= gray - 1
            for j in 0..<dimensions { coordinates[j] ^= directions[j * Self.bits + k] }
        }
        return coordinates
    }
}

/// Reads the table's stream of bits; pack.py of CSobol says what is in it.
private struct BitReader {
    private var position = 0

    mutating func read(_ count: Int) -> Int {
        // Sound: a constant of that size, and the index is checked.
        let bytes = unsafe UnsafeBufferPointer(
            start: csobol_directions(), count: csobol_directions_size())
        var value = 0
        for bit in 0..<count {
            precondition(position >> 3 < bytes.count, "the table of direction numbers ends early")
            let byte = unsafe bytes[position >> 3]
            value |= Int(byte >> UInt8(position & 7) & 1) << bit
            position += 1
        }
        return value
    }
}
