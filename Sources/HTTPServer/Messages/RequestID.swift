import HTTPTypes
import Synchronization

/// Identifies a request in its response, in problem documents and in the log.
///
/// A client's or a proxy's own identifier is taken if it is harmless wherever it is shown.
/// Otherwise one is made: 15 characters, which a Swift string holds without an allocation. Seven
/// tell processes apart, at random; eight count the requests of this one.
package enum RequestID {
    static let countMax = 128
    private static let alphabet = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)
    private static let processBits = UInt64.random(in: 0..<(1 << 35))
    private static let requests = Atomic<UInt64>(0)

    package static func make() -> String {
        let number = requests.add(1, ordering: .relaxed).newValue
        // Sound: the closure initializes the 15 bytes that it reports.
        return unsafe String(unsafeUninitializedCapacity: 15) { buffer in
            for index in 0..<7 {
                unsafe buffer[index] = digit(processBits, 6 - index)
            }
            for index in 0..<8 {
                unsafe buffer[7 + index] = digit(number, 7 - index)
            }
            return 15
        }
    }

    private static func digit(_ number: UInt64, _ place: Int) -> UInt8 {
        alphabet[Int(number >> UInt64(5 * place)) & 31]
    }

    /// Whether a sent identifier has 1 to 128 letters, digits and marks that need no quotes in a
    /// log, a header field, a URL or a shell.
    package static func isAcceptable(_ text: String) -> Bool {
        (1...countMax).contains(text.utf8.count)
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "-"), UInt8(ascii: "_"),
                    UInt8(ascii: "."), UInt8(ascii: ":"), UInt8(ascii: "/"), UInt8(ascii: "+"),
                    UInt8(ascii: "="), UInt8(ascii: "@"):
                    true
                default: false
                }
            }
    }
}

extension HTTPField.Name {
    static let requestID = HTTPField.Name("X-Request-Id")!
    static let traceparent = HTTPField.Name("traceparent")!
}
