/// A decimal numeral, and the Float64 nearest to it.
///
/// The conversion is that of Daniel Lemire, "Number parsing at a gigabyte per second" (Software:
/// Practice and Experience 51, 2021), after an idea of Michael Eisel: the numeral's digits times
/// 128 bits of the power of five give the 53 bits of the result, with proof that they are right.
/// `strtod`, which Swift's own conversion calls, takes several times as long for 17 digits, and
/// wants a string made first.
struct Decimal {
    /// The first 19 significant digits, which fit in 64 bits.
    private(set) var digits: UInt64 = 0
    private var digitCount = 0
    /// The decimal exponent of the last digit in `digits`.
    private var exponent = 0
    private var isTruncated = false
    var isNegative = false

    init() {}

    /// - Precondition: at most 19 digits after leading zeros.
    init(digits: UInt64, exponent: Int, isNegative: Bool) {
        self.digits = digits
        self.exponent = exponent
        self.isNegative = isNegative
    }

    mutating func append(digit: UInt8, isFraction: Bool) {
        if digits == 0 && digit == 0 {
            if isFraction { exponent -= 1 }
        } else if digitCount < 19 {
            digits = digits &* 10 &+ UInt64(digit)
            digitCount += 1
            if isFraction { exponent -= 1 }
        } else {
            isTruncated = true
        }
    }

    mutating func scale(by power: Int) { exponent += power }

    /// The number as an integer, if it is one and fits.
    var integer: Int? {
        guard exponent == 0, !isTruncated, let magnitude = Int(exactly: digits) else { return nil }
        return isNegative ? -magnitude : magnitude
    }

    /// The correctly rounded value; nil when the numeral has more than 19 digits or a power beyond
    /// the table, or the result is subnormal. These are rare and left to the system's conversion.
    var float64: Double? {
        guard !isTruncated else { return nil }
        guard digits != 0 else { return isNegative ? -0.0 : 0.0 }
        guard let power = PowersOfFive.normalized(exponent) else { return nil }
        let shift = digits.leadingZeroBitCount
        let normal = digits << UInt64(shift)
        var (high, low) = normal.multipliedFullWidth(by: UInt64(power >> 64))
        if high & 0x1FF == 0x1FF {
            let more = normal.multipliedFullWidth(by: UInt64(truncatingIfNeeded: power)).high
            let (sum, carries) = low.addingReportingOverflow(more)
            low = sum
            if carries { high += 1 }
        }
        if low == .max, !(-27...55).contains(exponent) { return nil }
        let top = Int(high >> 63)
        var significand = high >> UInt64(top + 9)
        // The floor of q log2(10), by a multiplication that is exact over this range.
        var biased = (217_706 * exponent) >> 16 + 63 + top - shift + 1023
        guard biased > 0 else { return nil }
        // Halfway between two numbers: round to even.
        if low <= 1, (-4...23).contains(exponent), significand & 3 == 1,
            significand << UInt64(top + 9) == high
        {
            significand &= ~1
        }
        significand = (significand + significand & 1) >> 1
        if significand >= 1 << 53 {
            significand = 1 << 52
            biased += 1
        }
        guard biased < 0x7FF else { return nil }
        let sign: UInt64 = isNegative ? 1 << 63 : 0
        let bits = sign | UInt64(biased) << 52 | (significand & ~(1 << 52))
        return Double(bitPattern: bits)
    }
}

/// 5^q, scaled by a power of two to 128 bits, the first of which is 1.
private enum PowersOfFive {
    /// 5^54 is the last whose double fits in 128 bits, which dividing by it needs.
    private static let range = -54...54

    static func normalized(_ exponent: Int) -> UInt128? {
        range.contains(exponent) ? table[exponent - range.lowerBound] : nil
    }

    private static let table: [UInt128] = range.map { exponent in
        let power = (0..<abs(exponent)).reduce(UInt128(1)) { power, _ in power * 5 }
        if exponent >= 0 { return power << UInt128(power.leadingZeroBitCount) }
        // Long division of a power of two, bit by bit, until the quotient has 128 bits.
        var quotient: UInt128 = 0
        var remainder: UInt128 = 1
        while quotient.leadingZeroBitCount > 0 {
            remainder <<= 1
            quotient <<= 1
            if remainder >= power {
                remainder -= power
                quotient |= 1
            }
        }
        // Short ones are rounded up, longer ones down: see the paper's section on negative powers.
        return exponent >= -27 ? quotient + 1 : quotient
    }
}
