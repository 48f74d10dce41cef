internal import Sessions
internal import Wire

/// A list of entity tags: RFC 9110, section 8.8.3.
enum EntityTags: Equatable {
    case any
    case some([Tag])

    struct Tag: Equatable {
        /// With its quotes.
        var text: String
        var isWeak: Bool
    }

    /// nil when the field is malformed.
    init?(_ value: String) {
        if value == "*" {
            self = .any
            return
        }
        var tags: [Tag] = []
        // An entity tag has no escapes, so a quote always ends it; it may contain a comma.
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

    /// For If-Match, where a weak tag never matches. A write compares the session's state, not the
    /// representation in which the client has read it.
    var precondition: Precondition {
        switch self {
        case .any: .exists
        case .some(let tags): .oneOf(tags.filter { !$0.isWeak }.map { withoutForm($0.text) })
        }
    }

    /// For If-None-Match, where a weak tag may match.
    func includes(_ tag: String) -> Bool {
        switch self {
        case .any: true
        case .some(let tags): tags.contains { $0.text == tag }
        }
    }

    /// For If-Range, which takes one strong tag.
    func isExactly(_ tag: String) -> Bool { self == .some([Tag(text: tag, isWeak: false)]) }
}

extension EntityTag {
    /// A strong tag identifies one sequence of bytes, so each representation other than JSON has a
    /// suffix.
    func text(as representation: Representation) -> String {
        guard let form = form(of: representation) else { return text }
        return text.dropLast() + "-" + form + "\""
    }
}

/// With its quotes.
func entityTag(_ opaque: String, as representation: Representation) -> String {
    guard let form = form(of: representation) else { return "\"\(opaque)\"" }
    return "\"\(opaque)-\(form)\""
}

private func form(of representation: Representation) -> String? {
    forms.first { $0.representation == representation }?.name
}

private let forms: [(representation: Representation, name: String)] = [
    (.octets, "octets"), (.safetensors, "safetensors"), (.npy, "npy"), (.sessionFile, "session"),
]

/// The tag of the same state in JSON.
private func withoutForm(_ tag: String) -> String {
    let form = forms.first { tag.hasSuffix("-\($0.name)\"") }
    return form.map { tag.dropLast($0.name.utf8.count + 2) + "\"" } ?? tag
}
