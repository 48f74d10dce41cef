public import SessionModel

/// Asks and tells for many sessions: `{"evaluations": [{"session", "number", "loss", ...}, ...]}`.
public struct EvaluationBatch: Sendable {
    public var items: [EvaluationItem]

    public init(json: [UInt8], itemsMax: Int) throws(WireError) {
        try self.init(JSONDocument(json), itemsMax: itemsMax)
    }

    /// The whole batch is parsed before any item is carried out: a parse error refuses the batch.
    public init(_ document: JSONDocument, itemsMax: Int) throws(WireError) {
        let body = try JSONField(document).object(known: ["evaluations"])
        let list = try body.required("evaluations")
        let elements = try list.elements()
        guard elements.count <= itemsMax else {
            throw list.fails("has \(elements.count) items; must have at most \(itemsMax)")
        }
        items = []
        items.reserveCapacity(elements.count)
        for element in elements { items.append(try EvaluationItem(element)) }
    }

    /// The outcome of an item.
    public enum Answer: Sendable {
        case turn(Turn, isReplay: Bool)
        case problem(ProblemDocument)
    }

    /// `{"results": [{"session", "status", "turn" | "problem"}, ...]}`, in the order of the items.
    public func json(answers: [Answer]) -> [UInt8] {
        JSONText.object { text in
            text.field("results", array: zip(items, answers)) { text, result in
                text.object { text in
                    let (item, answer) = result
                    text.field("session", item.session)
                    switch answer {
                    case .turn(let turn, let isReplay):
                        text.field("status", 200)
                        if isReplay { text.field("replayed", true) }
                        text.field("turn") { $0.write(turn) }
                    case .problem(let problem):
                        text.field("status", problem.status)
                        text.field("problem") { $0.write(problem) }
                    }
                }
            }
        }
    }
}

extension EvaluationItem {
    init(_ field: JSONField) throws(WireError) {
        let fields = try field.object(known: ["session", "number"] + TellRequest.names)
        self.init(session: try fields.required("session").string())
        let tells = TellRequest.names.contains { fields[$0] != nil }
        guard tells || fields["number"] != nil else { return }
        let number = try fields.required("number")
        told = (try number.integer(), try TellRequest(fields))
    }
}
