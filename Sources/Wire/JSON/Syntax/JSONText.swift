internal import struct Foundation.Date
internal import enum SessionModel.Vector

/// Writes JSON, field by field, in an order that suits human readers.
///
/// Why not Foundation's encoder: it writes -0.0 as `-0`, which Python and others read as the
/// integer 0, and x must come back bit for bit; it orders fields at random or by name; it takes
/// four times as long for a vector. Numbers are written by Swift's `description`, the shortest text
/// that reads back as the same Float64.
struct JSONText {
    private(set) var bytes: [UInt8] = []
    /// Whether a comma is due before the next field or element.
    private var isCommaDue = false

    /// - Parameter byteCount: An estimate of the text's length.
    static func object(
        byteCount: Int = 0, _ fill: (inout JSONText) -> Void
    ) -> [UInt8] {
        var text = JSONText()
        text.bytes.reserveCapacity(byteCount)
        text.object(fill)
        return text.bytes
    }

    /// A Float64 of a vector takes up to 24 characters, mostly 18 to 20, and a comma.
    static let numberBytes = 23

    private mutating func raw(_ text: String) { bytes.append(contentsOf: text.utf8) }

    private mutating func open(_ bracket: String) {
        raw(isCommaDue ? ",\(bracket)" : bracket)
        isCommaDue = false
    }

    private mutating func scalar(_ text: String) {
        if isCommaDue { bytes.append(UInt8(ascii: ",")) }
        raw(text)
        isCommaDue = true
    }

    private mutating func name(_ name: String) {
        string(name)
        raw(":")
        isCommaDue = false
    }

    // Values: the document, an element of an array, or the value of a field.

    mutating func object(_ fill: (inout JSONText) -> Void) {
        open("{")
        fill(&self)
        raw("}")
        isCommaDue = true
    }

    mutating func array<Element>(
        _ elements: some Sequence<Element>, _ write: (inout JSONText, Element) -> Void
    ) {
        open("[")
        for element in elements { write(&self, element) }
        raw("]")
        isCommaDue = true
    }

    mutating func null() { scalar("null") }

    mutating func integer(_ value: Int) { scalar(String(value)) }

    mutating func number(_ value: Double) {
        scalar(NonFinite.text(of: value).map { "\"\($0)\"" } ?? value.description)
    }

    mutating func numbers(_ values: [Double]) {
        let byteCount = bytes.count + JSONText.numberBytes * values.count
        if bytes.capacity < byteCount { bytes.reserveCapacity(byteCount) }
        array(values) { $0.element($1) }
    }

    /// A number of a vector, written without an intermediate string.
    private mutating func element(_ value: Double) {
        guard value.isFinite else { return number(value) }
        if isCommaDue { bytes.append(UInt8(ascii: ",")) }
        value.write(to: &self)
        isCommaDue = true
    }

    /// Float32 numbers are written with all digits of their Float64 value, so that a client
    /// evaluates at exactly the trial point.
    mutating func numbers(_ vector: Vector) { numbers(vector.doubles) }

    mutating func string(_ value: String) {
        if isCommaDue { bytes.append(UInt8(ascii: ",")) }
        bytes.append(UInt8(ascii: "\""))
        if value.utf8.allSatisfy(JSONText.standsForItself) {
            bytes.append(contentsOf: value.utf8)
        } else {
            escaped(value)
        }
        bytes.append(UInt8(ascii: "\""))
        isCommaDue = true
    }

    private static func standsForItself(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    private mutating func escaped(_ value: String) {
        for byte in value.utf8 {
            switch byte {
            case UInt8(ascii: "\""): raw("\\\"")
            case UInt8(ascii: "\\"): raw("\\\\")
            case 0..<0x20: raw("\\u00" + (byte < 0x10 ? "0" : "") + String(byte, radix: 16))
            default: bytes.append(byte)
            }
        }
    }

    // Fields: a name and a value; nil is written as `null`.

    mutating func field(_ name: String, object fill: (inout JSONText) -> Void) {
        self.name(name)
        object(fill)
    }

    mutating func field<Element>(
        _ name: String, array elements: some Sequence<Element>,
        _ write: (inout JSONText, Element) -> Void
    ) {
        self.name(name)
        array(elements, write)
    }

    mutating func field(_ name: String, _ value: String?) {
        self.name(name)
        if let value { string(value) } else { null() }
    }

    mutating func field(_ name: String, _ value: Int?) {
        self.name(name)
        if let value { integer(value) } else { null() }
    }

    mutating func field(_ name: String, _ value: Double?) {
        self.name(name)
        if let value { number(value) } else { null() }
    }

    mutating func field(_ name: String, _ value: Bool) {
        self.name(name)
        scalar(value ? "true" : "false")
    }

    mutating func field(_ name: String, _ date: Date?) {
        self.name(name)
        if let date { string(timestamp(date)) } else { null() }
    }

    mutating func field(_ name: String, numbers values: [Double]) {
        self.name(name)
        numbers(values)
    }

    mutating func field(_ name: String, numbers vector: Vector) {
        self.name(name)
        numbers(vector)
    }

    mutating func fieldNull(_ name: String) {
        self.name(name)
        null()
    }
}

extension JSONText: TextOutputStream {
    mutating func write(_ string: String) { raw(string) }

    /// The `TextOutputStream` that numbers write themselves to.
    mutating func _writeASCII(_ buffer: UnsafeBufferPointer<UInt8>) {
        // Sound: the bytes are copied within the call.
        unsafe bytes.append(contentsOf: buffer)
    }
}
