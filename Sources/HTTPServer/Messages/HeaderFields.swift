public import HTTPTypes

/// The header fields of a message, in the order in which they were sent or added.
///
/// An array, searched linearly: a message has about ten fields and each is looked up about once,
/// so building an index would cost more than it saves.
public struct HeaderFields: Sendable, Equatable {
    public struct Field: Sendable, Equatable {
        public var name: HTTPField.Name
        public var value: String
    }

    private var fields: [Field] = []

    public init() {}

    /// The value of the fields with this name. Several fields are joined with commas (RFC 9110,
    /// section 5.3). Setting a value leaves one field with this name, in the place of the first;
    /// setting nil removes all of them.
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

    /// Adds a field after all others; fields that have the same name are kept.
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
