internal import SessionModel

extension Npy {
    /// What a header may have: as much as version 1.0 can say. A real one has some 120 bytes.
    static let headerBytesMax = 1 << 16

    /// What the header of a file of `count` bytes says of its numbers.
    ///
    /// - Parameter head: All bytes before the numbers.
    /// - Throws: `malformed` where the bytes are no such file, or end too early; otherwise
    ///   `invalid` with the header's field.
    static func header(
        _ head: ArraySlice<UInt8>, of count: Int
    ) throws(WireError) -> TensorHeader {
        var parser = PythonDict(text: head[try headerStart(head, of: count)...])
        let header = try parser.header()
        var needed = header.dtype.size
        for dimension in header.shape {
            let (product, overflow) = needed.multipliedReportingOverflow(by: dimension)
            guard !overflow else {
                throw .invalid("shape", "\(header.shape) has more elements than there can be")
            }
            needed = product
        }
        let rest = count - head.count
        guard rest >= needed else {
            throw .malformed(
                "unexpected end in the numbers: \(header.shape) of \(descr(header.dtype)) has "
                    + "\(needed) bytes, and \(rest) are there")
        }
        guard rest == needed else {
            throw .invalid("body", "has \(rest - needed) bytes after the last number")
        }
        return header
    }

    /// The position of the first number in a file that begins with `first`. A result beyond the end
    /// of `first` is how many bytes are needed to say more.
    ///
    /// - Parameter count: Bytes of the whole file.
    static func headerEnd(_ first: [UInt8], of count: Int) throws(WireError) -> Int {
        let start = try headerStart(first[...], of: count)
        guard count >= start else { throw .malformed("unexpected end in the header's length") }
        guard first.count >= start else { return start }
        let length = first[prefix..<start].reversed().reduce(0) { $0 << 8 | Int($1) }
        guard length <= headerBytesMax else {
            throw .invalid(
                "header",
                "must have at most \(headerBytesMax) bytes, and says that it has \(length)")
        }
        guard length <= count - start else {
            throw .malformed(
                "unexpected end in the header, which should have \(length) bytes and has "
                    + "\(count - start)")
        }
        return start + length
    }

    /// Where the header begins: its length has two bytes in version 1 and four in the others. If
    /// that is beyond the first bytes, it is how many are needed to say more.
    private static func headerStart(
        _ first: ArraySlice<UInt8>, of count: Int
    ) throws(WireError) -> Int {
        if first.count < magic.count, count >= magic.count { return magic.count }
        guard first.starts(with: magic) else {
            throw .malformed("it doesn't begin as a .npy file, with \\x93NUMPY")
        }
        guard count >= prefix else { throw .malformed("unexpected end in the version") }
        guard first.count >= prefix else { return prefix }
        let version = (first[magic.count], first[magic.count + 1])
        guard (1...3).contains(version.0), version.1 == 0 else {
            throw .malformed(
                "the format's version \(version.0).\(version.1) is not 1.0, 2.0 or 3.0")
        }
        return prefix + (version.0 == 1 ? 2 : 4)
    }
}

/// The part of Python's literals that such headers have: a dict from strings to strings, booleans
/// and tuples of whole numbers.
private struct PythonDict {
    private let text: ArraySlice<UInt8>
    private var index: Int

    private enum Value {
        case string(String)
        case boolean(Bool)
        case sizes([Int])
        /// A list: the fields of a structured type.
        case list
    }

    init(text: ArraySlice<UInt8>) {
        self.text = text
        index = text.startIndex
    }

    private func isNot(_ expected: String) -> WireError {
        .malformed("the header is not as NumPy writes it: \(expected) expected at byte \(index)")
    }

    private var next: UInt8? { index < text.endIndex ? text[index] : nil }

    private mutating func skipBlanks() {
        while let byte = next, byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\n") {
            index += 1
        }
    }

    /// Takes the character, if it comes next after blanks.
    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        skipBlanks()
        guard next == UInt8(ascii: character) else { return false }
        index += 1
        return true
    }

    mutating func header() throws(WireError) -> TensorHeader {
        var values: [String: Value] = [:]
        guard take("{") else { throw isNot("{") }
        while !take("}") {
            let key = try string()
            guard take(":") else { throw isNot("a colon") }
            let value = try value()
            guard values.updateValue(value, forKey: key) == nil else {
                throw .malformed("the header has \(key) twice")
            }
            if case .list = value { break }
            if !take(",") {
                guard take("}") else { throw isNot("a comma or }") }
                break
            }
        }
        skipBlanks()
        if case .list? = values["descr"] {
            throw .invalid("descr", "must be '<f8' or '<f4', not a structured type")
        }
        guard index == text.endIndex else { throw isNot("the end") }
        if let unknown = values.keys.sorted().first(where: {
            !["descr", "fortran_order", "shape"].contains($0)
        }) {
            throw .invalid(unknown, "is not known")
        }
        return try header(values)
    }

    private func header(_ values: [String: Value]) throws(WireError) -> TensorHeader {
        guard case .string(let descr)? = values["descr"] else {
            throw .invalid("descr", "is required: a string")
        }
        guard let dtype = DType.allCases.first(where: { Npy.descr($0) == descr }) else {
            throw .invalid("descr", "must be '<f8' or '<f4', not '\(descr)'")
        }
        guard case .boolean(let isColumnMajor)? = values["fortran_order"] else {
            throw .invalid("fortran_order", "is required: True or False")
        }
        guard case .sizes(let shape)? = values["shape"] else {
            throw .invalid("shape", "is required: a tuple of whole numbers")
        }
        guard shape.count <= TensorHeader.rankMax else {
            throw .invalid(
                "shape",
                "has \(shape.count) dimensions; the limit is \(TensorHeader.rankMax)")
        }
        guard !isColumnMajor || shape.count <= 1 else {
            throw .invalid(
                "fortran_order", "must be False: numbers are row-major, as after ascontiguousarray")
        }
        return TensorHeader(dtype: dtype, shape: shape)
    }

    /// Without escapes: no name and no type of ours needs one.
    private mutating func string() throws(WireError) -> String {
        skipBlanks()
        guard let quote = next, quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") else {
            throw isNot("a string")
        }
        index += 1
        let start = index
        while let byte = next, byte != quote, (0x20..<0x7F).contains(byte),
            byte != UInt8(ascii: "\\")
        {
            index += 1
        }
        guard next == quote else { throw isNot("the end of a string of visible ASCII") }
        defer { index += 1 }
        return String(decoding: text[start..<index], as: UTF8.self)
    }

    private mutating func value() throws(WireError) -> Value {
        skipBlanks()
        switch next {
        case UInt8(ascii: "'"), UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "["): return .list
        case UInt8(ascii: "("):
            index += 1
            return .sizes(try sizes())
        default:
            for (word, value) in [("True", true), ("False", false)]
            where text[index...].starts(with: word.utf8) {
                index += word.utf8.count
                return .boolean(value)
            }
            throw isNot("a string, True, False or a tuple")
        }
    }

    /// The rest of a tuple. One of a single number has a comma: else it would be that number.
    private mutating func sizes() throws(WireError) -> [Int] {
        var sizes: [Int] = []
        var hasComma = true
        while !take(")") {
            guard hasComma else { throw isNot("a comma or )") }
            sizes.append(try size())
            hasComma = take(",")
        }
        guard sizes.count != 1 || hasComma else { throw isNot("a comma in a tuple of one") }
        return sizes
    }

    private mutating func size() throws(WireError) -> Int {
        skipBlanks()
        let start = index
        while let byte = next, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
            index += 1
        }
        guard index > start else { throw isNot("a whole number") }
        let digits = String(decoding: text[start..<index], as: UTF8.self)
        guard let size = Int(digits) else {
            throw .invalid("shape", "has a dimension that does not fit in 64 bits")
        }
        return size
    }
}
