/// What a document may hold besides the numbers of its vectors.
public struct JSONLimits: Equatable, Sendable {
    /// Values: objects, arrays, strings, and numbers that are not in an array of numbers alone.
    public var valuesMax: Int
    /// Bytes of one string as it is written.
    public var stringBytesMax: Int
    /// Numbers in arrays of numbers, all together.
    public var numbersMax: Int
    /// Bytes of one number as it is written: some fifty times what a Float64 takes.
    static let numeralBytesMax = 4_096

    public init(valuesMax: Int, stringBytesMax: Int, numbersMax: Int = .max) {
        self.valuesMax = valuesMax
        self.stringBytesMax = stringBytesMax
        self.numbersMax = numbersMax
    }
}

/// Reads a JSON document while it arrives. It accepts what `JSONParser` accepts, with the same
/// values and the same errors, as far as the limits allow.
///
/// It keeps what it has read as values, and of the text only a string, a number or a word that is
/// not complete. Open objects and arrays are on a stack of its own; complete strings, numbers and
/// words are read by `JSONParser`.
///
/// Memory: 8 bytes a number of a vector, and what the limits allow for the rest.
public struct JSONReader {
    /// What the document may go on with.
    private enum Expected {
        case value
        /// After `[`.
        case valueOrEnd
        case name
        /// After `{`.
        case nameOrEnd
        case colon
        /// After a value in an object or array.
        case separator
        case nothing
    }

    /// An object or array that is not closed.
    private struct Container {
        let isArray: Bool
        /// The offset after its bracket.
        let start: Int
        var fields: [String: JSONValue] = [:]
        /// The field whose value is being read, and its offset.
        var name = ""
        var nameStart = 0
        /// The elements of an array that is not one of numbers alone.
        var elements: [JSONValue] = []
        /// Whether elements were turned into numbers, since there are too many for values.
        var isLongVector = false

        init(isArray: Bool, start: Int) {
            self.isArray = isArray
            self.start = start
        }
    }

    private let limits: JSONLimits
    private let length: Int
    private var text = JSONParser()
    private var expected = Expected.value
    private var containers: [Container] = []
    /// The elements of the innermost array, as long as they are numbers alone. An array that has
    /// another array or object in it is not one of these, so there is one at a time.
    private var numbers: [Double] = []
    private var document: JSONValue?
    private var values = 0
    private var numbersHeld = 0
    private var stringBytes = 0
    /// Bytes of the incomplete string at the cursor that were looked at.
    private var scanned = 0

    /// Memory of a value: an element, or a field with its place in a dictionary.
    private static let valueBytes = 128

    /// - Parameter length: The document's length, by which the memory of vectors is allocated.
    public init(length: Int, limits: JSONLimits) {
        self.length = length
        self.limits = limits
    }

    /// Roughly the memory of what was read.
    public var memoryBytes: Int {
        numbersHeld * 8 + values * Self.valueBytes + 2 * stringBytes + text.bytes.count
    }

    /// Reads the document's next piece.
    public mutating func append(_ piece: UnsafeRawBufferPointer) throws(WireError) {
        unsafe text.append(piece)
        try read(isLast: false)
    }

    /// The document, when all its pieces were read.
    public mutating func finish() throws(WireError) -> JSONDocument {
        try read(isLast: true)
        guard let document else { throw text.malformed("no value") }
        return JSONDocument(value: document)
    }

    private mutating func read(isLast: Bool) throws(WireError) {
        while true {
            text.skipSpace()
            guard !text.isAtEnd else {
                if !isLast || expected == .nothing { return }
                throw text.malformed("no value")
            }
            switch expected {
            case .valueOrEnd where text.byte == UInt8(ascii: "]"): try closeArray()
            case .value, .valueOrEnd:
                if try readNumbers() { continue }
                guard try readValue(isLast) else { return }
            case .nameOrEnd where text.byte == UInt8(ascii: "}"): try closeObject()
            case .name, .nameOrEnd:
                guard text.byte == UInt8(ascii: "\"") else { throw text.malformed("no field name") }
                guard try hasWholeString(isLast) else { return }
                containers[containers.count - 1].nameStart = text.offset
                containers[containers.count - 1].name = try readString()
                expected = .colon
            case .colon:
                guard text.skip(":") else {
                    throw text.malformed("no colon after a field name")
                }
                expected = .value
            case .separator: try readSeparator()
            case .nothing: throw text.malformed("more text after the value")
            }
        }
    }

    private mutating func readSeparator() throws(WireError) {
        let isArray = containers[containers.count - 1].isArray
        if text.skip(",") {
            expected = isArray ? .value : .name
        } else if isArray {
            guard text.byte == UInt8(ascii: "]") else {
                throw text.malformed("neither a comma nor the array's end")
            }
            try closeArray()
        } else {
            guard text.byte == UInt8(ascii: "}") else {
                throw text.malformed("neither a comma nor the object's end")
            }
            try closeObject()
        }
    }

    // MARK: Values

    /// Reads a value, or the beginning of an object or array. Returns false if more of the text is
    /// needed for it.
    private mutating func readValue(_ isLast: Bool) throws(WireError) -> Bool {
        guard isLast || !text.mayBeginNonFinite else { return false }
        switch text.byte {
        case UInt8(ascii: "{"): try open(isArray: false)
        case UInt8(ascii: "["): try open(isArray: true)
        case UInt8(ascii: "\""):
            guard try hasWholeString(isLast) else { return false }
            try add(scalar: .string(try readString()))
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            guard try hasWholeNumeral(isLast) else { return false }
            try add(scalar: try text.numeral())
        case UInt8(ascii: "t"):
            guard hasWhole("true", isLast) else { return false }
            try add(scalar: try text.word("true", .boolean(true)))
        case UInt8(ascii: "f"):
            guard hasWhole("false", isLast) else { return false }
            try add(scalar: try text.word("false", .boolean(false)))
        case UInt8(ascii: "n"):
            guard hasWhole("null", isLast) else { return false }
            try add(scalar: try text.word("null", .null))
        default: throw text.noValue(at: text.index)
        }
        return true
    }

    private mutating func open(isArray: Bool) throws(WireError) {
        guard containers.count < JSONParser.depthMax else {
            throw text.malformed("more than \(JSONParser.depthMax) levels of nesting")
        }
        if !numbers.isEmpty { try turnNumbersIntoElements() }
        try count(1)
        text.index += 1
        containers.append(Container(isArray: isArray, start: text.offset))
        expected = isArray ? .valueOrEnd : .nameOrEnd
    }

    private mutating func closeObject() throws(WireError) {
        text.index += 1
        try add(.object(containers.removeLast().fields))
    }

    private mutating func closeArray() throws(WireError) {
        text.index += 1
        let elements = containers.removeLast().elements
        guard !numbers.isEmpty else { return try add(.array(elements)) }
        var vector: [Double] = []
        swap(&vector, &numbers)
        // What was allocated for numbers that did not come is given back.
        if vector.capacity - vector.count > vector.count / 4 + 64 { vector = vector.map { $0 } }
        try add(.numbers(vector))
    }

    /// Adds a value that was counted to the innermost container.
    private mutating func add(_ value: JSONValue) throws(WireError) {
        guard let last = containers.indices.last else {
            document = value
            expected = .nothing
            return
        }
        expected = .separator
        if containers[last].isArray {
            containers[last].elements.append(value)
            return
        }
        let name = containers[last].name
        guard containers[last].fields.updateValue(value, forKey: name) == nil else {
            let start = containers[last].nameStart
            throw .malformed("the field \"\(name)\" comes twice, again at byte \(start)")
        }
    }

    private mutating func add(scalar: JSONValue) throws(WireError) {
        guard let last = containers.indices.last, containers[last].isArray else {
            try count(1)
            return try add(scalar)
        }
        if containers[last].elements.isEmpty {
            let number =
                containers[last].isLongVector
                ? scalar.number : JSONParser.element(scalar, isFirst: numbers.isEmpty)
            if let number {
                try append(number)
                expected = .separator
                return
            }
            if !numbers.isEmpty {
                guard scalar.number == nil || numbers.count < limits.valuesMax - values else {
                    return try beginLongVector(numbers, with: scalar)
                }
                try turnNumbersIntoElements()
            }
        }
        if values >= limits.valuesMax, scalar.number != nil {
            let numbers = containers[last].elements.compactMap(\.number)
            if numbers.count == containers[last].elements.count {
                values -= numbers.count
                numbersHeld += numbers.count
                containers[last].elements = []
                return try beginLongVector(numbers, with: scalar)
            }
        }
        try count(1)
        try add(scalar)
    }

    // MARK: Vectors

    /// Reads complete numbers and the commas between them, the bulk of every long document. Returns
    /// false at anything else.
    private mutating func readNumbers() throws(WireError) -> Bool {
        guard let last = containers.indices.last, containers[last].isArray,
            containers[last].elements.isEmpty
        else { return false }
        var hasRead = false
        // A number at the end of the piece may go on in the next.
        while let plain = PlainNumber(in: text.bytes.span, at: text.index),
            plain.end < text.bytes.count
        {
            try append(plain.value)
            text.index = plain.end
            hasRead = true
            expected = .separator
            guard text.skip(",") else { break }
            expected = .value
            text.skipSpace()
        }
        return hasRead
    }

    private mutating func append(_ number: Double) throws(WireError) {
        guard numbersHeld < limits.numbersMax else {
            throw .invalid(path, "has more numbers than expected here: \(limits.numbersMax)")
        }
        numbersHeld += 1
        if numbers.count == numbers.capacity, numbers.count >= 4_096 { reserve() }
        numbers.append(number)
    }

    /// Allocates what the rest of the document may need if its numbers are as long as those before,
    /// so that a long vector is not copied. Memory that is not used is not touched.
    private mutating func reserve() {
        let left = max(0, length - text.offset)
        let bytesRead = max(1, text.offset - (containers.last?.start ?? 0))
        let more = Double(numbers.count) * Double(left) / Double(bytesRead) * 1.02 + 1_024
        let most = min(left / 2 + 1, limits.numbersMax - numbersHeld + 1)
        numbers.reserveCapacity(
            numbers.count + min(most, max(numbers.count / 4, Int(more)), 1 << 40))
    }

    /// An element is not a number, so the array is a list of values.
    private mutating func turnNumbersIntoElements() throws(WireError) {
        try count(numbers.count)
        containers[containers.count - 1].elements = numbers.map(JSONValue.number)
        numbersHeld -= numbers.count
        numbers = []
    }

    /// A list of too many values that are numbers or names of numbers, such as `"NaN"`, is a
    /// vector.
    private mutating func beginLongVector(
        _ numbers: [Double], with next: JSONValue
    ) throws(WireError) {
        guard let number = next.number else { preconditionFailure("\(next) is no number") }
        containers[containers.count - 1].isLongVector = true
        self.numbers = numbers
        expected = .separator
        try append(number)
    }

    // MARK: Limits

    private mutating func count(_ count: Int) throws(WireError) {
        guard count <= limits.valuesMax - values else {
            throw .invalid(
                path,
                "has too many values: at most \(limits.valuesMax) are read of one body, beside "
                    + "arrays of numbers")
        }
        values += count
    }

    /// Where the cursor is, as errors name fields.
    private var path: String {
        var path = ""
        for (place, container) in containers.enumerated() {
            if container.isArray {
                let isLast = place == containers.count - 1
                path += "[\(container.elements.count + (isLast ? numbers.count : 0))]"
            } else {
                path += path.isEmpty ? container.name : ".\(container.name)"
            }
        }
        return path.isEmpty ? "body" : path
    }

    // MARK: Complete tokens

    private mutating func readString() throws(WireError) -> String {
        let string = try text.string()
        stringBytes += string.utf8.count
        return string
    }

    /// Whether the string at the cursor can be read: to its end, or as far as its first error.
    private mutating func hasWholeString(_ isLast: Bool) throws(WireError) -> Bool {
        let (place, hasEnd) = Self.endOfString(text.bytes, from: text.index + max(1, scanned))
        let isWhole = hasEnd || isLast
        scanned = isWhole ? 0 : place - text.index
        guard place - text.index <= limits.stringBytesMax else {
            throw .invalid(path, "has a string of more than \(limits.stringBytesMax) bytes")
        }
        return isWhole
    }

    /// The place of the quote or control character that ends the string, or where to look on.
    private static func endOfString(_ bytes: [UInt8], from start: Int) -> (place: Int, isEnd: Bool)
    {
        var place = start
        while place < bytes.count {
            switch bytes[place] {
            case UInt8(ascii: "\\"):
                guard place + 1 < bytes.count else { return (place, false) }
                place += 2
            case UInt8(ascii: "\""), 0..<0x20: return (place, true)
            default: place += 1
            }
        }
        return (place, false)
    }

    private func hasWholeNumeral(_ isLast: Bool) throws(WireError) -> Bool {
        let bytes = text.bytes.span
        var place = text.index
        scan: while place < bytes.count {
            switch bytes[place] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"),
                UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"):
                place += 1
            default: break scan
            }
        }
        guard place - text.index <= JSONLimits.numeralBytesMax else {
            throw .invalid(path, "has a number of more than \(JSONLimits.numeralBytesMax) digits")
        }
        return place < bytes.count || isLast
    }

    private func hasWhole(_ word: StaticString, _ isLast: Bool) -> Bool {
        let here = text.bytes[text.index...].prefix(word.utf8CodeUnitCount)
        return isLast || here.count == word.utf8CodeUnitCount
            || !word.description.utf8.starts(with: here)
    }
}

extension JSONValue {
    /// The value as a number of a vector, as `JSONField.number` reads it; nil if it is none.
    fileprivate var number: Double? {
        switch self {
        case .integer(let integer): Double(integer)
        case .number(let number): number
        case .string(let text): NonFinite.value(of: text)
        case .null, .boolean, .overflow, .array, .numbers, .object: nil
        }
    }
}
