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

    /// For If-Match, where a weak tag never matches. A write wants to know the session's state, and
    /// not in which form the client has seen it.
    var precondition: Precondition {
        switch self {
        case .any: .exists
        case .some(let tags): .oneOf(tags.filter { !$0.isWeak }.map { withoutForm($0.text) })
        }
    }

    /// For If-None-Match, where it may.
    func includes(_ tag: String) -> Bool {
        switch self {
        case .any: true
        case .some(let tags): tags.contains { $0.text == tag }
        }
    }

    /// For If-Range: one tag, and a strong one.
    func isExactly(_ tag: String) -> Bool { self == .some([Tag(text: tag, isWeak: false)]) }
}

extension EntityTag {
    /// A strong tag belongs to one sequence of bytes: each form other than JSON has its own.
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
    (.octets, "octets"), (.safetensors, "safetensors"), (.npy, "npy"),
]

/// The tag of the same state as JSON.
private func withoutForm(_ tag: String) -> String {
    let form = forms.first { tag.hasSuffix("-\($0.name)\"") }
    return form.map { tag.dropLast($0.name.utf8.count + 2) + "\"" } ?? tag
}
