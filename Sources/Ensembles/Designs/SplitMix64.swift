/// The generator of all random designs: SplitMix64 (Steele, Lea and Flood 2014), whose state is the
/// seed. A few lines in any language repeat it.
package struct SplitMix64: Sendable {
    private var state: UInt64

    package init(seed: Int) { state = UInt64(seed) }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }

    /// The 53 highest bits of `next`.
    package mutating func next53() -> UInt64 { next() >> 11 }

    /// From 0, and below 1: a multiple of 2^-53.
    package mutating func uniform() -> Double { Double(next53()) * 0x1p-53 }

    /// A number below `bound`, each with the same probability: numbers from the largest multiple of
    /// `bound` in 64 bits on are drawn again.
    package mutating func below(_ bound: Int) -> Int {
        let bound = UInt64(bound)
        let excess = (UInt64.max % bound + 1) % bound
        while true {
            let number = next()
            if number <= UInt64.max - excess { return Int(number % bound) }
        }
    }
}
