public import HTTPTypes

/// The header fields of a message, in their order.
///
/// A message has a handful, and each is looked for once: going through an array takes less than
/// anything that has to be made first.
public struct HeaderFields: Sendable, Equatable {
    public struct Field: Sendable, Equatable {
        public var name: HTTPField.Name
        public var value: String
    }

    private var fields: [Field] = []

    public init() {}

    /// Several values of one name are one list (RFC 9110, section 5.3). Setting leaves one field of
    /// that name, or none.
    public subscript(name: HTTPField.Name) -> String? {
        get {
            guard let first = fields.firstIndex(where: { $0.name == name }) else { return nil }
            var value = fields[first].value
            for field in fields[(first + 1)...] where field.name == name {
                value += ", " + field.value
            }
            return value
        }
        set {
            guard let value = newValue else { return fields.removeAll { $0.name == name } }
            guard let first = fields.firstIndex(where: { $0.name == name }) else {
                return append(name, value)
            }
            fields[first].value = value
            if fields[(first + 1)...].contains(where: { $0.name == name }) {
                fields[(first + 1)...].removeAll { $0.name == name }
            }
        }
    }

    /// Adds a field behind those of the same name.
    public mutating func append(_ name: HTTPField.Name, _ value: String) {
        if fields.isEmpty { fields.reserveCapacity(8) }
        fields.append(Field(name: name, value: value))
    }
}

extension HeaderFields: Sequence {
    public func makeIterator() -> IndexingIterator<[Field]> { fields.makeIterator() }
}

extension HeaderFields: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (HTTPField.Name, String)...) {
        for (name, value) in elements { append(name, value) }
    }
}
