public import SessionModel

extension EnsembleRequest {
    public init(json: [UInt8]) throws(WireError) { try self.init(JSONDocument(json)) }

    /// `{"starts", "n" or "params", "lower", "upper", "options", "stop", "abandon", ...}`
    public init(_ document: JSONDocument) throws(WireError) {
        let body = try JSONField(document).object(
            known: [
                "name", "labels", "dtype", "params", "n", "starts", "lower", "upper", "options",
                "stop", "abandon", "expires_after",
            ])
        self.init(starts: try body.required("starts").starts())
        name = try body.present("name")?.string()
        if let field = body.present("labels") { labels = try field.labels() }
        if let field = body["dtype"] { dtype = try field.dtype() }
        if let field = body.present("params") {
            var specs: [ParameterSpec] = []
            for element in try field.elements() { specs.append(try ParameterSpec(element)) }
            parameters = specs
        }
        count = try body.present("n")?.integer()
        lower = try body.present("lower")?.numberOrNumbers()
        upper = try body.present("upper")?.numberOrNumbers()
        if let field = body["options"] { options = try OptionsPatch(field, isCreation: true) }
        if let field = body.present("stop") { stop = try EnsembleStopRule(field) }
        if let field = body.present("abandon") {
            let rules = try field.object(known: ["stagnation", "same_basin"])
            stagnation = try rules.present("stagnation").map { field throws(WireError) in
                try StagnationRule(field)
            }
            basin = try rules.present("same_basin").map { field throws(WireError) in
                try BasinRule(field)
            }
        }
        if let field = body["expires_after"] {
            expiresAfter = .some(field.isNull ? nil : try field.integer())
        }
    }
}

extension ParameterSpec {
    fileprivate init(_ field: JSONField) throws(WireError) {
        let fields = try field.object(known: ["name", "shape"])
        self.init(
            name: try fields.present("name")?.string(),
            shape: try fields.required("shape").shape())
    }
}

extension JSONField {
    /// A list of starts, or how to choose them.
    fileprivate func starts() throws(WireError) -> EnsembleRequest.Starts {
        guard case .object = value else {
            var starts: [[Double]] = []
            for element in try elements() { starts.append(try element.numbers()) }
            return .given(starts)
        }
        let fields = try object(known: ["method", "count", "seed", "skip", "scramble"])
        let count = try fields.required("count").integer()
        let method = try fields.required("method").choice(DesignMethod.self)
        let seed = try fields.present("seed")?.integer() ?? 0
        if method != .sobol {
            for name in ["skip", "scramble"] where fields[name] != nil {
                throw fields.invalid(name, "belongs to the method \"sobol\"")
            }
        }
        switch method {
        case .sobol:
            let isScrambled = try fields.present("scramble")?.boolean() ?? true
            return .designed(
                .sobol(
                    seed: isScrambled ? seed : nil,
                    skip: try fields.present("skip")?.integer() ?? 0), count: count)
        case .latinHypercube: return .designed(.latinHypercube(seed: seed), count: count)
        case .uniform: return .designed(.uniform(seed: seed), count: count)
        }
    }

    /// A number for all, or one each.
    fileprivate func numberOrNumbers() throws(WireError) -> [Double] {
        switch value {
        case .array, .numbers: try numbers()
        case .null, .boolean, .integer, .number, .overflow, .string, .object: [try number()]
        }
    }
}

private enum DesignMethod: String, CaseIterable {
    case sobol
    case latinHypercube = "latin_hypercube"
    case uniform
}

extension EnsembleStopRule {
    fileprivate init(_ field: JSONField) throws(WireError) {
        let fields = try field.object(known: ["target", "evaluations"])
        self.init(
            target: try fields.present("target")?.number(),
            evaluations: try fields.present("evaluations")?.integer())
    }
}

extension StagnationRule {
    fileprivate init(_ field: JSONField) throws(WireError) {
        let fields = try field.object(known: ["evaluations", "tolerance"])
        self.init(
            evaluations: try fields.required("evaluations").integer(),
            tolerance: try fields.present("tolerance")?.number() ?? 0)
    }
}

extension BasinRule {
    fileprivate init(_ field: JSONField) throws(WireError) {
        let fields = try field.object(known: ["distance", "loss"])
        self.init(
            distance: try fields.required("distance").number(),
            loss: try fields.required("loss").number())
    }
}

extension EnsembleAsk {
    /// `{"count", "worker", "seconds"}`; the body may be absent.
    public init(json: [UInt8]) throws(WireError) {
        try self.init(JSONField(document: json, isOptional: true))
    }

    init(_ field: JSONField) throws(WireError) {
        let fields = try field.object(known: ["count", "worker", "seconds"])
        self.init()
        if let field = fields.present("count") { count = try field.integer() }
        if let field = fields.present("worker") { worker = try field.string() }
        if let field = fields.present("seconds") { seconds = try field.number() }
    }
}

/// Results of members: `{"results": [{"session", "number", "loss", ...}, ...], "ask": {...}}`.
public struct EnsembleResults: Sendable {
    public var items: [EvaluationItem]
    public var ask: EnsembleAsk?

    public init(_ document: JSONDocument, itemsMax: Int) throws(WireError) {
        let body = try JSONField(document).object(known: ["results", "ask"])
        let list = try body.required("results")
        let elements = try list.elements()
        guard elements.count <= itemsMax else {
            throw list.fails("has \(elements.count) items; must have at most \(itemsMax)")
        }
        items = []
        items.reserveCapacity(elements.count)
        for element in elements {
            let item = try EvaluationItem(element)
            guard item.told != nil else {
                throw .invalid("\(element.path).number", "is required, and the result")
            }
            items.append(item)
        }
        ask = try body.present("ask").map { field throws(WireError) in try EnsembleAsk(field) }
    }
}
