public import SessionModel

// Requests that create and change resources. An optional field may be `null` where that means the
// same as leaving it out; everywhere else `null` is an error.

extension CreateRequest {
    public init(json: [UInt8]) throws(WireError) { try self.init(JSONDocument(json)) }

    public init(_ document: JSONDocument) throws(WireError) {
        let body = try JSONField(document).object(
            known: [
                "name", "labels", "dtype", "params", "x0", "options", "shards", "expires_after",
                "lower", "upper", "l1",
            ])
        switch (body["params"], body["x0"]) {
        case (let params?, nil):
            var parameters: [ParameterInput] = []
            for element in try params.elements() {
                parameters.append(try ParameterInput(element))
            }
            for field in BoundsField.allCases {
                guard let misplaced = body[field.rawValue] else { continue }
                throw misplaced.fails("belongs to x0: params have theirs in each parameter")
            }
            self.init(parameters: parameters)
        case (nil, let x0?):
            let values = try x0.numbers()
            self.init(parameters: [
                ParameterInput(
                    name: nil, shape: [values.count], values: values,
                    bounds: try BoundsInput(body))
            ])
            isShortForm = true
        case (nil, nil):
            throw .invalid("params", "is required (or x0, for one unnamed parameter)")
        case (.some, .some):
            throw .invalid("x0", "is the short form of params: give one of the two")
        }
        name = try body.present("name")?.string()
        if let field = body.present("labels") { labels = try field.labels() }
        if let field = body["dtype"] { dtype = try field.dtype() }
        shardCount = try body.present("shards")?.integer()
        if let field = body["options"] { options = try OptionsPatch(field, isCreation: true) }
        if let field = body["expires_after"] {
            expiresAfter = .some(field.isNull ? nil : try field.integer())
        }
    }
}

extension ParameterInput {
    init(_ field: JSONField) throws(WireError) {
        let fields = try field.object(
            known: ["name", "shape", "values", "fill"] + BoundsInput.names)
        let values: Values
        switch (fields["values"], fields["fill"]) {
        case (.some, let fill?):
            throw fill.fails("says the same as values: give one of the two")
        case (nil, let fill?):
            values = .fill(try fill.number())
        case (_, nil):
            values = .list(try fields.required("values").numbers())
        }
        self.init(
            name: try fields.present("name")?.string(),
            shape: try fields.required("shape").shape(), values: values,
            bounds: try BoundsInput(fields))
    }
}

extension OptionsPatch {
    static let names = [
        "lr", "max_iter", "max_eval", "tolerance_grad", "tolerance_change", "history_size",
        "history_dtype", "line_search_fn", "mode", "noise", "tolerance_grad_relative",
        "tolerance_loss_relative", "reuse_evaluation", "maximize",
    ]
    /// The options in `param_groups` of a state dict.
    static let torchNames = [
        "lr", "max_iter", "max_eval", "tolerance_grad", "tolerance_change", "history_size",
        "line_search_fn", "maximize",
    ]

    /// At creation `"max_eval": null` selects torch's default, as in its constructor; a change has
    /// no default to return to.
    init(_ field: JSONField, isCreation: Bool) throws(WireError) {
        try self.init(
            try field.object(known: OptionsPatch.names), isCreation: isCreation)
    }

    init(_ fields: JSONFields, isCreation: Bool) throws(WireError) {
        self.init()
        lr = try fields["lr"]?.number()
        maxIterations = try fields["max_iter"]?.integer()
        maxEvaluations =
            try (isCreation ? fields.present("max_eval") : fields["max_eval"])?.integer()
        toleranceGradient = try fields["tolerance_grad"]?.number()
        toleranceChange = try fields["tolerance_change"]?.number()
        historySize = try fields["history_size"]?.integer()
        historyDType = try fields["history_dtype"]?.choice(HistoryDType.self)
        if let field = fields["line_search_fn"] {
            lineSearch = .some(
                field.isNull ? nil : try field.choice(Options.LineSearchFunction.self))
        }
        mode = try fields["mode"]?.choice(Options.Mode.self)
        if let field = fields["noise"] { noise = .some(field.isNull ? nil : try field.noise()) }
        toleranceGradientRelative = try fields["tolerance_grad_relative"]?.number()
        toleranceLossRelative = try fields["tolerance_loss_relative"]?.number()
        reuseEvaluation = try fields["reuse_evaluation"]?.boolean()
        maximize = try fields["maximize"]?.boolean()
    }
}

extension UpdateRequest {
    public init(json: [UInt8]) throws(WireError) {
        let body = try JSONField(document: json).object(
            known: ["name", "labels", "options", "expires_after"])
        self.init()
        if let field = body["name"] { name = .some(field.isNull ? nil : try field.string()) }
        if let field = body["labels"] { labels = field.isNull ? [:] : try field.labels() }
        if let field = body["options"] { options = try OptionsPatch(field, isCreation: false) }
        if let field = body["expires_after"] {
            expiresAfter = .some(field.isNull ? nil : try field.integer())
        }
    }
}

/// The body of a request without fields: absent or `{}`.
public enum NoFields {
    public static func check(json: [UInt8]) throws(WireError) {
        _ = try JSONField(document: json, isOptional: true).object(known: [])
    }
}

/// The name of a new checkpoint, and whether it is kept. The body may be absent.
public struct CheckpointRequest: Equatable, Sendable {
    public var name: String?
    public var isKept: Bool

    public init(json: [UInt8]) throws(WireError) {
        let body = try JSONField(document: json, isOptional: true).object(
            known: ["name", "keep"])
        name = try body.present("name")?.string()
        isKept = try body.present("keep")?.boolean() ?? false
    }
}

/// Whether a checkpoint is kept.
public struct CheckpointUpdate: Equatable, Sendable {
    public var isKept: Bool

    public init(json: [UInt8]) throws(WireError) {
        let body = try JSONField(document: json).object(known: ["keep"])
        isKept = try body.required("keep").boolean()
    }
}

/// The name and labels of a fork; nil copies those of the forked session. The body may be absent.
public struct ForkRequest: Equatable, Sendable {
    public var name: String?
    public var labels: [String: String]?

    public init(json: [UInt8]) throws(WireError) {
        let body = try JSONField(document: json, isOptional: true).object(
            known: ["name", "labels"])
        name = try body.present("name")?.string()
        if let field = body.present("labels") { labels = try field.labels() }
    }
}

extension JSONField {
    /// `float64`, `float32` or a relative precision.
    func noise() throws(WireError) -> Noise {
        switch value {
        case .integer, .number: return .relative(try number())
        case .string(let text):
            if let noise = Noise(name: text) { return noise }
        case .null, .boolean, .overflow, .array, .numbers, .object: break
        }
        throw fails("must be \"float64\", \"float32\" or a number")
    }

    /// torch has complex tensors, but not in this optimizer.
    func dtype() throws(WireError) -> DType {
        if case .string(let text) = value, text.hasPrefix("complex") || text.hasPrefix("cfloat") {
            throw fails("is \(text): Parameters must be real")
        }
        return try choice(DType.self)
    }

    func shape() throws(WireError) -> [Int] {
        let dimensions = try integers()
        if let index = dimensions.firstIndex(where: { $0 < 1 }) {
            throw .invalid("\(path)[\(index)]", "must be at least 1, not \(dimensions[index])")
        }
        return dimensions
    }

    func labels() throws(WireError) -> [String: String] {
        var labels: [String: String] = [:]
        for (name, field) in try members() { labels[name] = try field.string() }
        return labels
    }
}
