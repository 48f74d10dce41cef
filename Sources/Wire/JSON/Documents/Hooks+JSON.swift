public import SessionModel

private enum HookKind: String, CaseIterable {
    case intercept, observe
}

extension HookRequest {
    private static let deadlineDefault = 30.0

    public init(json: [UInt8]) throws(WireError) { try self.init(JSONField(document: json)) }

    init(_ field: JSONField) throws(WireError) {
        let body = try field.object(known: [
            "event", "kind", "prepend", "deadline_seconds", "default", "url", "secret",
        ])
        let event = try body.required("event").choice(HookEvent.self)
        let isFirst = try body.present("prepend")?.boolean() ?? false
        let kind = try body.required("kind").choice(HookKind.self)
        let others =
            switch kind {
            case .intercept: ["url", "secret"]
            case .observe: ["deadline_seconds", "default"]
            }
        for name in others {
            if let field = body[name] {
                throw field.fails("doesn't belong to a hook of kind \(kind.rawValue)")
            }
        }
        let action: Hook.Action =
            switch kind {
            case .intercept:
                .intercept(
                    deadlineSeconds: try body.present("deadline_seconds")?.number()
                        ?? HookRequest.deadlineDefault,
                    fallback: try body.present("default")?.choice(HookDefault.self) ?? .proceed)
            case .observe:
                .observe(
                    url: try body.required("url").string(),
                    secret: try body.present("secret")?.string() ?? "")
            }
        self.init(event: event, action: action, isFirst: isFirst)
    }

    /// The operator's hooks: `[{..}, ..]`, each as a client would register it.
    public static func list(json: [UInt8]) throws(WireError) -> [HookRequest] {
        var requests: [HookRequest] = []
        for element in try JSONField(document: json).elements() {
            requests.append(try HookRequest(element))
        }
        return requests
    }
}

extension Hook {
    /// - Parameter showsSecret: True only in the response to the client who registers it.
    public func json(showsSecret: Bool) -> [UInt8] {
        JSONText.object { $0.write(self, showsSecret: showsSecret) }
    }
}

/// `{"hooks": [..]}`
public enum HookList {
    public static func json(_ hooks: [Hook]) -> [UInt8] {
        JSONText.object { text in
            text.field("hooks", array: hooks) { text, hook in
                text.object { $0.write(hook, showsSecret: false) }
            }
        }
    }
}

extension JSONText {
    fileprivate mutating func write(_ hook: Hook, showsSecret: Bool) {
        field("id", hook.id)
        field("event", hook.event.rawValue)
        switch hook.action {
        case .intercept(let seconds, let fallback):
            field("kind", HookKind.intercept.rawValue)
            field("deadline_seconds", seconds)
            field("default", fallback.rawValue)
        case .observe(let url, let secret):
            field("kind", HookKind.observe.rawValue)
            field("url", url)
            if showsSecret { field("secret", secret) }
        }
        field("created_at", hook.createdAt)
    }
}

extension HookAnswer {
    /// `{}`, `{"options"}` or `{"state_dict"}`; the body may be absent.
    public init(json: [UInt8]) throws(WireError) {
        try self.init(JSONDocument(json, isOptional: true))
    }

    public init(_ document: JSONDocument) throws(WireError) {
        let body = try JSONField(document).object(known: ["options", "state_dict"])
        switch (body["options"], body["state_dict"]) {
        case (nil, nil): self = .nothing
        case (let options?, nil):
            self = .options(try OptionsPatch(options, isCreation: false))
        case (nil, let dict?): self = .stateDict(try StateDict(dict))
        case (.some, .some): throw .invalid("options", "can't be replaced beside a state_dict")
        }
    }
}

// MARK: - Messages

extension HookMessage {
    /// `{"type", "timestamp", "data": {..}}`, as Standard Webhooks has it.
    public var json: [UInt8] {
        JSONText.object { text in
            text.field("type", event.rawValue)
            text.field("timestamp", time)
            text.field("data") { text in
                text.field("session", session.rawValue)
                text.field("hook", hook)
                text.field("state", status.phase.rawValue)
                text.field("step", status.step)
                text.field("evaluation", status.evaluation)
                text.field("loss", status.loss)
                if let step { text.field("result", step.result) }
            }
        }
    }
}

extension DeliveryRecord {
    public var json: [UInt8] { JSONText.object { $0.write(self) } }
}

extension Page<DeliveryRecord> {
    /// `{"deliveries": [..], "next_page_token"}`
    public var json: [UInt8] {
        JSONText.object { text in
            text.field("deliveries", array: items) { text, record in
                text.object { $0.write(record) }
            }
            text.field("next_page_token", next?.text)
        }
    }
}

extension JSONText {
    fileprivate mutating func write(_ record: DeliveryRecord) {
        field("id", record.id)
        field("hook", record.hook)
        field("event", record.event.rawValue)
        field("url", record.url)
        field("status", record.status.rawValue)
        field("attempts", record.attempts)
        field("created_at", record.createdAt)
        field("next_attempt_at", record.nextAttemptAt)
        field("last_attempt_at", record.lastAttemptAt)
        field("last_outcome", record.lastOutcome)
    }
}
