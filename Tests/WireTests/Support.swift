import SessionModel
import Testing
import Wire

func utf8(_ text: String) -> [UInt8] { Array(text.utf8) }

func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

/// The fields that reading `json` complains of; nil when it is malformed or all is well.
func complaints<Value>(_ json: String, _ read: ([UInt8]) throws -> Value) -> [FieldError]? {
    do {
        _ = try read(utf8(json))
    } catch WireError.invalid(let errors) {
        return errors
    } catch {}
    return nil
}

func isMalformed<Value>(_ bytes: [UInt8], _ read: ([UInt8]) throws -> Value) -> Bool {
    do {
        _ = try read(bytes)
    } catch WireError.malformed {
        return true
    } catch {}
    return false
}

/// Random numbers that a failing test can replay: SplitMix64 (Steele, Lea, Flood 2014).
struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
