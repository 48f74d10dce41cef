internal import Wire

/// Chooses a response's representation by the Accept field: RFC 9110, section 12.5.1.
enum Negotiation {
    private struct Range {
        var type: Substring
        var subtype: Substring
        /// In thousandths.
        var quality: Int

        /// The range's specificity: nil when it doesn't match, 0 `*/*`, 1 `text/*`, 2 `text/csv`.
        func specificity(for mediaType: String) -> Int? {
            let parts = mediaType.split(separator: "/")
            if type == "*" { return 0 }
            guard type == parts[0] else { return nil }
            if subtype == "*" { return 1 }
            return subtype == parts[1] ? 2 : nil
        }
    }

    /// The acceptable representation with the highest quality, the first of equals; nil when none
    /// is acceptable. Malformed ranges are ignored.
    static func choose(_ available: [Representation], accept: String?) -> Representation? {
        guard let accept, accept != "*/*" else { return available.first }
        // The common case: one representation, by its name.
        if let named = available.first(where: { $0.mediaType == accept }) { return named }
        let ranges = split(accept, at: ",").compactMap { range(String($0)) }
        var best: (representation: Representation, quality: Int)?
        for representation in available {
            // The most specific range decides, even when its quality is 0.
            let match = ranges.compactMap { range in
                range.specificity(for: representation.mediaType).map { ($0, range.quality) }
            }.max { $0.0 < $1.0 }
            guard let quality = match?.1, quality > 0 else { continue }
            if quality > best?.quality ?? 0 { best = (representation, quality) }
        }
        return best?.representation
    }

    /// Parses `text/csv; header=present; q=0.5`. Parameters other than `q` are ignored: no
    /// representation here has variants.
    private static func range(_ text: String) -> Range? {
        let parts = split(text, at: ";").map { trimmed($0) }
        let names = parts[0].lowercased().split(separator: "/", omittingEmptySubsequences: false)
        guard names.count == 2, !names[0].isEmpty, !names[1].isEmpty,
            names[0] != "*" || names[1] == "*"
        else { return nil }
        var range = Range(type: names[0], subtype: names[1], quality: 1000)
        for parameter in parts.dropFirst() where parameter.lowercased().hasPrefix("q=") {
            guard let quality = thousandths(parameter.dropFirst(2)) else { return nil }
            range.quality = quality
        }
        return range
    }

    /// `0`, `0.5`, `1.000`: RFC 9110, section 12.4.2.
    private static func thousandths(_ text: Substring) -> Int? {
        let parts = text.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
        let fraction = parts.count == 2 ? parts[1] : ""
        guard parts[0] == "0" || parts[0] == "1", fraction.utf8.count <= 3,
            fraction.utf8.allSatisfy({ UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 })
        else { return nil }
        let digits = fraction + String(repeating: "0", count: 3 - fraction.utf8.count)
        guard let thousandths = Int(digits) else { return nil }
        let quality = (parts[0] == "1" ? 1000 : 0) + thousandths
        return quality <= 1000 ? quality : nil
    }
}

/// Splits a field's value, but not within double quotes.
func split(_ text: String, at separator: Character) -> [Substring] {
    var parts: [Substring] = []
    var start = text.startIndex
    var isQuoted = false
    var isEscaped = false
    for index in text.indices {
        let character = text[index]
        if isEscaped {
            isEscaped = false
        } else if isQuoted && character == "\\" {
            isEscaped = true
        } else if character == "\"" {
            isQuoted.toggle()
        } else if character == separator && !isQuoted {
            parts.append(text[start..<index])
            start = text.index(after: index)
        }
    }
    parts.append(text[start...])
    return parts
}

/// Without surrounding white space.
func trimmed(_ text: Substring) -> Substring {
    var text = text
    while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
    while let last = text.last, last == " " || last == "\t" { text.removeLast() }
    return text
}
