public import struct SessionModel.FieldError

/// A problem document: RFC 9457.
public struct ProblemDocument: Equatable, Sendable {
    /// An extension member: a value that a client needs to act.
    public enum Member: Equatable, Sendable {
        case integer(Int)
        case string(String)
        case strings([String])
    }

    /// A URI reference that identifies the kind of problem and never changes.
    public var type: String
    public var title: String
    public var status: Int
    /// What happened in this instance, to what, and what to do.
    public var detail: String
    public var errors: [FieldError]
    public var members: [(name: String, value: Member)]

    public init(
        type: String, title: String, status: Int, detail: String, errors: [FieldError] = [],
        members: [(name: String, value: Member)] = []
    ) {
        self.type = type
        self.title = title
        self.status = status
        self.detail = detail
        self.errors = errors
        self.members = members
    }

    public static func == (left: ProblemDocument, right: ProblemDocument) -> Bool {
        left.json == right.json
    }

    public var json: [UInt8] { JSONText.object { $0.write(self) } }
}

/// What a kind of problem means: the document behind its `type`.
public struct ProblemTypeDocument: Sendable {
    public var type: String
    public var title: String
    public var status: Int
    public var meaning: String
    public var members: [(name: String, meaning: String)]
    /// What to do about it.
    public var action: String

    public init(
        type: String, title: String, status: Int, meaning: String,
        members: [(name: String, meaning: String)], action: String
    ) {
        self.type = type
        self.title = title
        self.status = status
        self.meaning = meaning
        self.members = members
        self.action = action
    }

    public var json: [UInt8] {
        JSONText.object { text in
            text.field("type", type)
            text.field("title", title)
            text.field("status", status)
            text.field("meaning", meaning)
            text.field("members", array: members) { text, member in
                text.object { text in
                    text.field("name", member.name)
                    text.field("meaning", member.meaning)
                }
            }
            text.field("action", action)
        }
    }
}

extension JSONText {
    mutating func write(_ problem: ProblemDocument) {
        field("type", problem.type)
        field("title", problem.title)
        field("status", problem.status)
        field("detail", problem.detail)
        if !problem.errors.isEmpty {
            field("errors", array: problem.errors) { text, error in
                text.object { text in
                    text.field("field", error.field)
                    text.field("reason", error.reason)
                }
            }
        }
        for (name, value) in problem.members {
            switch value {
            case .integer(let value): field(name, value)
            case .string(let value): field(name, value)
            case .strings(let values): field(name, array: values) { $0.string($1) }
            }
        }
    }
}
