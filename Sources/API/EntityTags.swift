internal import Sessions

/// A list of entity tags: RFC 9110, section 8.8.3.
enum EntityTags: Equatable {
    case any
    case some([Tag])

    struct Tag: Equatable {
        /// With its quotes.
        var text: String
        var isWeak: Bool
    }

    /// nil when it is none.
    init?(_ value: String) {
        if value == "*" {
            self = .any
            return
        }
        var tags: [Tag] = []
        // An entity tag knows no escapes, so a quote always ends it; a comma may stand inside.
        var rest = trimmed(value[...])
        while true {
            let isWeak = rest.hasPrefix("W/")
            if isWeak { rest = rest.dropFirst(2) }
            guard rest.first == "\"", let end = rest.dropFirst().firstIndex(of: "\"") else {
                return nil
            }
            tags.append(Tag(text: String(rest[...end]), isWeak: isWeak))
            rest = trimmed(rest[rest.index(after: end)...])
            if rest.isEmpty { break }
            guard rest.first == "," else { return nil }
            rest = trimmed(rest.dropFirst())
        }
        self = .some(tags)
    }

    /// For If-Match, where a weak tag never matches.
    var precondition: Precondition {
        switch self {
        case .any: .exists
        case .some(let tags): .oneOf(tags.filter { !$0.isWeak }.map(\.text))
        }
    }

    /// For If-None-Match, where it may.
    func includes(_ tag: EntityTag) -> Bool {
        switch self {
        case .any: true
        case .some(let tags): tags.contains { $0.text == tag.text }
        }
    }
}
