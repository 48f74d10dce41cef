internal import struct SessionModel.FieldError
internal import struct SessionModel.Limits

/// A value in a document that is being read, with its path, which every error names.
struct JSONField {
    var value: JSONValue
    /// e.g. `options.lr`, `params[0].values[3]`; empty for the document itself.
    var path: String

    func fails(_ reason: String) -> WireError { .invalid(path.isEmpty ? "body" : path, reason) }

    private func isNot(_ expected: String) -> WireError {
        fails(
            value == .overflow
                ? "is too large for a Float64" : "must be \(expected), not \(value.kind)")
    }

    var isNull: Bool { value == .null }

    func string() throws(WireError) -> String {
        guard case .string(let text) = value else { throw isNot("a string") }
        // U+0000 ends a string in C, in which the programs that store and show text are written.
        guard !text.utf8.contains(0) else { throw fails("must not have the character U+0000") }
        return text
    }

    /// One of the raw values of an enumeration.
    func choice<Choice>(_ type: Choice.Type) throws(WireError) -> Choice
    where Choice: RawRepresentable<String> & CaseIterable {
        let text = try string()
        if let choice = Choice(rawValue: text) { return choice }
        let known = Choice.allCases.map { "\"\($0.rawValue)\"" }.joined(separator: " or ")
        throw fails("must be \(known), not \"\(text)\"")
    }

    func boolean() throws(WireError) -> Bool {
        guard case .boolean(let boolean) = value else { throw isNot("true or false") }
        return boolean
    }

    func number() throws(WireError) -> Double {
        switch value {
        case .integer(let integer): return Double(integer)
        case .number(let number): return number
        case .string(let text):
            if let number = NonFinite.value(of: text) { return number }
        case .null, .boolean, .overflow, .array, .numbers, .object: break
        }
        throw isNot("a number (or the string \"NaN\", \"Infinity\" or \"-Infinity\")")
    }

    /// An integer, also written as 3.0: some clients have only one type of number.
    func integer() throws(WireError) -> Int {
        switch value {
        case .integer(let integer): return integer
        case .number(let number):
            if let integer = Int(exactly: number) { return integer }
            throw fails("must be a whole number that fits in 64 bits, not \(number)")
        case .null, .boolean, .overflow, .string, .array, .numbers, .object:
            throw isNot("a whole number")
        }
    }

    /// O(1) for an array of numbers only.
    func numbers() throws(WireError) -> [Double] {
        if case .numbers(let numbers) = value { return numbers }
        var numbers: [Double] = []
        for element in try elements() { numbers.append(try element.number()) }
        return numbers
    }

    func integers() throws(WireError) -> [Int] {
        var integers: [Int] = []
        for element in try elements() { integers.append(try element.integer()) }
        return integers
    }

    func strings() throws(WireError) -> [String] {
        var strings: [String] = []
        for element in try elements() { strings.append(try element.string()) }
        return strings
    }

    func elements() throws(WireError) -> [JSONField] {
        let values: [JSONValue]
        switch value {
        case .array(let array): values = array
        case .numbers(let numbers):
            // As values they take many times the memory.
            guard numbers.count <= Limits().jsonValuesMax else {
                throw fails(
                    "has \(numbers.count) elements; must have at most "
                        + "\(Limits().jsonValuesMax)")
            }
            values = numbers.map(JSONValue.number)
        case .null, .boolean, .integer, .number, .overflow, .string, .object:
            throw isNot("an array")
        }
        return values.enumerated().map { JSONField(value: $1, path: "\(path)[\($0)]") }
    }

    /// The members of an object with names of the client's choice, sorted by name.
    func members() throws(WireError) -> [(name: String, field: JSONField)] {
        guard case .object(let fields) = value else { throw isNot("an object") }
        return fields.sorted { $0.key < $1.key }.map {
            ($0, JSONField(value: $1, path: child($0)))
        }
    }

    /// The object's fields; throws an error for each one that isn't in `known`.
    func object(known: [String]) throws(WireError) -> JSONFields {
        if case .object(let fields) = value, fields.keys.allSatisfy(known.contains) {
            return JSONFields(whole: self, fields: fields)
        }
        // A client that sends thousands has no use for an error each.
        let unknown = try members().filter { !known.contains($0.name) }.prefix(100)
        throw .invalid(
            unknown.map { name, field in
                let hint = nearestName(to: name, in: known).map { "; did you mean \($0)?" }
                return FieldError(field: field.path, reason: "is not known" + (hint ?? ""))
            })
    }

    fileprivate func child(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }
}

/// An object's fields by name, all of them known.
struct JSONFields {
    fileprivate let whole: JSONField
    fileprivate let fields: [String: JSONValue]

    /// The field, also when it is `null`; nil when it is absent.
    subscript(name: String) -> JSONField? {
        fields[name].map { JSONField(value: $0, path: whole.child(name)) }
    }

    /// The field; nil when it is absent or `null`.
    func present(_ name: String) -> JSONField? {
        self[name].flatMap { $0.isNull ? nil : $0 }
    }

    /// A copy with another value for one field.
    func replacing(_ name: String, with value: JSONValue) -> JSONFields {
        var fields = fields
        if fields[name] != nil { fields[name] = value }
        return JSONFields(whole: whole, fields: fields)
    }

    /// An error that names one of the fields, present or not.
    func invalid(_ name: String, _ reason: String) -> WireError {
        .invalid(whole.child(name), reason)
    }

    func required(_ name: String) throws(WireError) -> JSONField {
        guard let field = self[name] else {
            throw invalid(name, "is required")
        }
        return field
    }
}

extension JSONField {
    /// The whole document.
    init(_ document: JSONDocument) { self.init(value: document.value, path: "") }

    /// The whole document. Where a body is optional, an empty one counts as `{}`.
    init(document: [UInt8], isOptional: Bool = false) throws(WireError) {
        self.init(try JSONDocument(document, isOptional: isOptional))
    }
}
