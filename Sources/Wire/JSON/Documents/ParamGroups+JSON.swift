public import SessionModel

extension GroupRequest {
    /// `{"name", "params": [{"name", "shape", "values" or "fill", "lower", "upper",
    /// "l1"}]}`
    public init(json: [UInt8]) throws(WireError) { try self.init(JSONDocument(json)) }

    public init(_ document: JSONDocument) throws(WireError) {
        let body = try JSONField(document).object(
            known: ["name", "params"] + OptionsPatch.names)
        let options = OptionsPatch.names.filter { body[$0] != nil }
        guard options.isEmpty else {
            throw .invalid(
                options.map {
                    FieldError(
                        field: $0,
                        reason: "can't differ between groups: options belong to the session")
                })
        }
        var parameters: [ParameterInput] = []
        for element in try body.required("params").elements() {
            parameters.append(try ParameterInput(element))
        }
        self.init(name: try body.present("name")?.string(), parameters: parameters)
    }
}

extension GroupUpdate {
    public init(json: [UInt8]) throws(WireError) {
        let body = try JSONField(document: json).object(
            known: ["name", "frozen"] + OptionsPatch.names)
        if let option = OptionsPatch.names.first(where: { body[$0] != nil }) {
            throw .invalid(option, "can't differ between groups: options belong to the session")
        }
        self.init()
        if let field = body["name"] { name = .some(field.isNull ? nil : try field.string()) }
        isFrozen = try body["frozen"]?.boolean()
    }
}

extension GroupView {
    public var json: [UInt8] { JSONText.object { $0.write(self) } }
}

/// `{"param_groups": [..]}`
public enum GroupList {
    public static func json(_ groups: [GroupView]) -> [UInt8] {
        JSONText.object { text in
            text.field("param_groups", array: groups) { text, view in
                text.object { $0.write(view) }
            }
        }
    }
}

extension JSONText {
    mutating func write(_ view: GroupView) {
        field("index", view.index)
        field("name", view.group.name)
        field("frozen", view.group.isFrozen)
        field("params", array: view.group.parameters) { $0.integer($1) }
        if let names = view.names {
            field("param_names", array: names) { $0.string($1) }
        } else {
            fieldNull("param_names")
        }
        field("count", view.count)
        if let projected = view.projected { field("projected", projected) }
    }
}
