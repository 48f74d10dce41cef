public import SessionModel

extension TellRequest {
    /// `{"loss", "gradient"}`, `{"loss", "gradients"}` or `{"failed"}`.
    public init(json: [UInt8]) throws(WireError) { try self.init(JSONDocument(json)) }

    public init(_ document: JSONDocument) throws(WireError) {
        try self.init(try JSONField(document).object(known: TellRequest.names))
    }

    static let names = ["loss", "gradient", "gradients", "failed"]

    init(_ body: JSONFields) throws(WireError) {
        if let failed = body["failed"] {
            for name in ["loss", "gradient", "gradients"] where body[name] != nil {
                throw body.invalid(name, "can't be told of an evaluation that failed")
            }
            self = .failed(reason: try failed.string())
            return
        }
        guard let loss = body["loss"] else {
            throw body.invalid("loss", "is required (or failed, if the point has no loss)")
        }
        self = .evaluated(loss: try loss.number(), gradient: try VectorInput(gradientIn: body))
    }
}

extension VectorInput {
    fileprivate init(gradientIn body: JSONFields) throws(WireError) {
        switch (body["gradient"], body["gradients"]) {
        case (let flat?, nil):
            self = .flat(try flat.numbers())
        case (nil, let named?):
            var gradients: [String: [Double]?] = [:]
            for (name, field) in try named.members() {
                gradients.updateValue(field.isNull ? nil : try field.numbers(), forKey: name)
            }
            self = .named(gradients)
        case (nil, nil):
            throw body.invalid("gradient", "is required (or gradients, by parameter name)")
        case (.some, .some):
            throw body.invalid("gradients", "says the same as gradient: give one of the two")
        }
    }
}
