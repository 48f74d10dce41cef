/// The fast path for numbers: up to 19 digits, optionally with a point and an exponent, as programs
/// write the numbers of a vector.
///
/// It reads each digit once. All else, malformed or only unusual, is left to the parser, which
/// reports errors.
struct PlainNumber {
    let value: Double
    /// The offset after its last character.
    let end: Int

    init?(in text: Span<UInt8>, at start: Int) {
        var index = start
        let isNegative = index < text.count && text[index] == UInt8(ascii: "-")
        if isNegative { index += 1 }
        let first = index
        var digits: UInt64 = 0
        PlainNumber.read(text, &index, &digits)
        var digitCount = index - first
        guard digitCount == 1 || (digitCount > 1 && text[first] != UInt8(ascii: "0")) else {
            return nil
        }
        var exponent = 0
        var isInteger = true
        if index < text.count, text[index] == UInt8(ascii: ".") {
            index += 1
            let fraction = index
            PlainNumber.read(text, &index, &digits)
            guard index > fraction else { return nil }
            exponent = fraction - index
            digitCount += index - fraction
            isInteger = false
        }
        if digitCount > 19 {
            // Leading zeros are not significant.
            var place = first
            while place < index {
                if text[place] == UInt8(ascii: "0") {
                    digitCount -= 1
                } else if text[place] != UInt8(ascii: ".") {
                    break
                }
                place += 1
            }
            guard digitCount <= 19 else { return nil }
        }
        if index < text.count, text[index] | 0x20 == UInt8(ascii: "e") {
            index += 1
            guard index < text.count else { return nil }
            let isSmall = text[index] == UInt8(ascii: "-")
            if isSmall || text[index] == UInt8(ascii: "+") { index += 1 }
            let power = index
            var magnitude: UInt64 = 0
            PlainNumber.read(text, &index, &magnitude)
            guard (1...3).contains(index - power) else { return nil }
            exponent += isSmall ? -Int(magnitude) : Int(magnitude)
            isInteger = false
        }
        // An integer that isn't exact in Float64 is not read as a number of a vector.
        if isInteger, digits > 1 << 53 { return nil }
        let decimal = Decimal(digits: digits, exponent: exponent, isNegative: isNegative)
        guard let value = decimal.float64 else { return nil }
        self.value = value
        end = index
    }

    private static func read(_ text: Span<UInt8>, _ index: inout Int, _ digits: inout UInt64) {
        while index + 8 <= text.count {
            // Sound: eight bytes are available, and any bytes are an integer.
            let bytes = unsafe text.bytes.unsafeLoadUnaligned(
                fromByteOffset: index, as: UInt64.self)
            guard let eight = PlainNumber.eightDigits(UInt64(littleEndian: bytes)) else { break }
            digits = digits &* 100_000_000 &+ eight
            index += 8
        }
        while index < text.count {
            let digit = text[index] &- UInt8(ascii: "0")
            guard digit < 10 else { return }
            digits = digits &* 10 &+ UInt64(digit)
            index += 1
        }
    }

    /// The value of eight characters if all are digits, by three multiplications that combine
    /// pairs, then fours, then all digits in parallel (D. Lemire, "Quickly parsing eight digits",
    /// 2018, after J. Muła).
    private static func eightDigits(_ characters: UInt64) -> UInt64? {
        let high = characters & 0xF0F0_F0F0_F0F0_F0F0
        let beyondNine = ((characters &+ 0x0606_0606_0606_0606) & 0xF0F0_F0F0_F0F0_F0F0) >> 4
        guard high | beyondNine == 0x3333_3333_3333_3333 else { return nil }
        let digits = characters &- 0x3030_3030_3030_3030
        let pairs = digits &* 10 &+ digits >> 8
        let mask: UInt64 = 0x0000_00FF_0000_00FF
        let first = (pairs & mask) &* 0x000F_4240_0000_0064
        let second = ((pairs >> 16) & mask) &* 0x0000_2710_0000_0001
        return (first &+ second) >> 32
    }
}
