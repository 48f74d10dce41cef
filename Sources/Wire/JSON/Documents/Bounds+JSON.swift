public import SessionModel

extension BoundsInput {
    static let names = BoundsField.allCases.map(\.rawValue)

    /// Each of the fields is a number for all parameters, or an array with a number or null for
    /// each.
    init(_ fields: JSONFields) throws(WireError) {
        self.init()
        for name in BoundsField.allCases {
            guard let field = fields.present(name.rawValue) else { continue }
            let values = try field.parameterValues(missing: name)
            switch name {
            case .lower: lower = values
            case .upper: upper = values
            case .l1: l1 = values
            }
        }
    }
}

extension JSONField {
    fileprivate func parameterValues(
        missing: BoundsField
    ) throws(WireError) -> ParameterValues<Double> {
        switch value {
        case .numbers(let numbers): return .each(numbers)
        case .array:
            var numbers: [Double] = []
            for element in try elements() {
                numbers.append(element.isNull ? missing.missing : try element.number())
            }
            return .each(numbers)
        case .null, .boolean, .integer, .number, .overflow, .string, .object:
            return .uniform(try number())
        }
    }
}

/// New bounds in the same form in which GET returns them, or by parameter; and the dtype and shapes
/// that the client states, to be compared with the session's.
public struct BoundsDocument: Equatable, Sendable {
    public var request: BoundsRequest
    /// What the client states beside the numbers; its input is empty.
    public var stated: ParametersDocument

    /// `{"lower", "upper", "l1"}`, each a number, an array of all numbers or null, or
    /// `{"params": [{"name", "shape", "lower", "upper", "l1"}, ..]}` in any order, where parameters
    /// without a name go by position.
    public init(_ document: JSONDocument) throws(WireError) {
        let body = try JSONField(document).object(
            known: ["dtype", "params"] + BoundsInput.names)
        stated = ParametersDocument(input: .named([:]))
        stated.dtype = try body["dtype"]?.dtype()
        guard let params = body["params"] else {
            request = .flat(try BoundsInput(body))
            return
        }
        if let twice = BoundsInput.names.first(where: { body[$0] != nil }) {
            throw .invalid(twice, "says the same as params: give one of the two")
        }
        var named: [String: BoundsInput] = [:]
        for (index, element) in try params.elements().enumerated() {
            let fields = try element.object(known: ["name", "shape"] + BoundsInput.names)
            let name = try fields.present("name")?.string() ?? String(index)
            guard named[name] == nil else {
                throw element.fails("is the second one for parameter \(name)")
            }
            named[name] = try BoundsInput(fields)
            stated.shapes[name] = try fields["shape"]?.shape()
        }
        request = .named(named)
    }

    public init(json: [UInt8]) throws(WireError) { try self.init(JSONDocument(json)) }
}

extension BoundsView {
    /// `{"dtype", "lower", "upper", "l1"}`: null where no parameter has one, a number where all
    /// have the same, else an array of all, flat in parameter order.
    public var json: [UInt8] {
        JSONText.object { text in
            text.field("dtype", dtype.rawValue)
            for name in BoundsField.allCases {
                switch values(name) {
                case .none: text.fieldNull(name.rawValue)
                case .uniform(let value): text.field(name.rawValue, value)
                case .each(let values): text.field(name.rawValue, numbers: values)
                }
            }
            if let projected { text.field("projected", projected) }
        }
    }

    /// Numbers that its JSON has.
    public var numberCount: Int {
        BoundsField.allCases.reduce(0) { $0 + (values($1).count ?? 1) }
    }

    func values(_ field: BoundsField) -> ParameterValues<Double> { bounds[field] }
}

extension ActiveSetView {
    /// `{"session", "count", "active": [{"index", "parameter", "offset", "side", "value",
    /// "multiplier"}], "next"}`
    public var json: [UInt8] {
        JSONText.object(byteCount: 64 + 120 * entries.count) { text in
            text.field("session", session.rawValue)
            text.field("count", count)
            text.field("active", array: entries) { text, entry in
                text.object { text in
                    text.field("index", entry.bound.index)
                    text.field("parameter", entry.parameter)
                    text.field("offset", entry.offset)
                    text.field("side", entry.bound.side.rawValue)
                    text.field("value", entry.value)
                    text.field("multiplier", entry.bound.multiplier)
                }
            }
            text.field("next", next)
        }
    }
}
