public import SessionModel

extension CheckpointView {
    public var json: [UInt8] {
        JSONText.object { $0.write(record, of: session) }
    }
}

extension Page<CheckpointRecord> {
    /// `{"checkpoints": [..], "next_page_token"}`
    public func json(session: SessionID) -> [UInt8] {
        JSONText.object { text in
            text.field("checkpoints", array: items) { text, record in
                text.object { $0.write(record, of: session) }
            }
            text.field("next_page_token", next?.text)
        }
    }
}

extension JSONText {
    fileprivate mutating func write(_ record: CheckpointRecord, of session: SessionID) {
        field("id", String(record.number))
        field("session", session.rawValue)
        field("name", record.name)
        field("state", record.status.phase.rawValue)
        field("step", record.status.step)
        field("evaluation", record.status.evaluation)
        field("loss", record.status.loss)
        field("keep", record.isKept)
        field("created_at", record.createdAt)
    }
}
