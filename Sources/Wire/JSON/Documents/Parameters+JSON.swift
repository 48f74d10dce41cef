public import SessionModel

/// New values for the parameters, in the same form in which GET returns them, so that a client can
/// send back what it read; and the dtype and shapes that the client states, to be compared with the
/// session's.
public struct ParametersDocument: Equatable, Sendable {
    public var input: VectorInput
    /// nil when the client didn't state it.
    public var dtype: DType?
    /// The stated shapes, by name or position.
    public var shapes: [String: [Int]] = [:]

    /// `{"x": [..flat..]}`, or `{"params": [{"name", "shape", "values"}, ..]}` in any order, where
    /// parameters without a name go by position.
    public init(json: [UInt8]) throws(WireError) { try self.init(JSONDocument(json)) }

    init(input: VectorInput) { self.input = input }

    public init(_ document: JSONDocument) throws(WireError) {
        let body = try JSONField(document).object(known: ["dtype", "params", "x"])
        dtype = try body["dtype"]?.dtype()
        switch (body["x"], body["params"]) {
        case (let flat?, nil):
            input = .flat(try flat.numbers())
        case (nil, let params?):
            var named: [String: [Double]?] = [:]
            for (index, element) in try params.elements().enumerated() {
                let fields = try element.object(known: ["name", "shape", "values"])
                let name = try fields.present("name")?.string() ?? String(index)
                guard named[name] == nil else {
                    throw element.fails("is the second one for parameter \(name)")
                }
                named[name] = try fields.required("values").numbers()
                shapes[name] = try fields["shape"]?.shape()
            }
            input = .named(named)
        case (nil, nil):
            throw .invalid("params", "is required (or x, all values in one array)")
        case (.some, .some):
            throw .invalid("x", "says the same as params: give one of the two")
        }
    }

    /// The statements of the client that don't match the session.
    public func mismatches(with record: SessionRecord) -> [FieldError] {
        var errors: [FieldError] = []
        if let dtype, dtype != record.dtype {
            errors.append(
                FieldError(field: "dtype", reason: "is \(record.dtype.rawValue) in this session"))
        }
        for (index, spec) in record.parameters.enumerated() {
            let name = spec.name ?? String(index)
            if let shape = shapes[name], shape != spec.shape {
                errors.append(
                    FieldError(field: "params.\(name)", reason: "must have the shape \(spec.shape)")
                )
            }
        }
        return errors
    }
}

extension ParametersView {
    /// `{"dtype", "params": [{"name", "shape", "values"}]}`, and `"projected"` where the values
    /// were just set.
    public var json: [UInt8] {
        let flat = values.doubles
        return JSONText.object { text in
            text.field("dtype", values.dtype.rawValue)
            if let projected { text.field("projected", projected) }
            var start = 0
            text.field("params", array: specs) { text, spec in
                let end = start + spec.count
                text.object { text in
                    text.write(spec)
                    text.field("values", numbers: Array(flat[start..<end]))
                }
                start = end
            }
        }
    }
}

extension JSONText {
    /// Writes the fields of a parameter.
    mutating func write(_ spec: ParameterSpec) {
        field("name", spec.name)
        field("shape", array: spec.shape) { $0.integer($1) }
    }
}
