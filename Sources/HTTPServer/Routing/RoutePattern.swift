/// A parsed pattern such as `/v1/sessions/{s}`.
struct RoutePattern: Sendable {
    private enum Segment: Equatable {
        case literal(String)
        case parameter(String)
    }

    private let segments: [Segment]
    let captures: [PathParameters.Capture]

    /// - Precondition: The text begins with a slash, each parameter takes a whole segment, and no
    ///   parameter's name is repeated.
    init(_ text: String) {
        precondition(text.utf8.first == UInt8(ascii: "/"), "\(text) must begin with a slash")
        segments = text.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
            .map { segment in
                guard segment.hasPrefix("{"), segment.hasSuffix("}") else {
                    precondition(
                        !segment.contains("{") && !segment.contains("}"),
                        "\(text): a parameter must take a whole segment")
                    return .literal(String(segment))
                }
                return .parameter(String(segment.dropFirst().dropLast()))
            }
        captures = segments.enumerated().compactMap { index, segment in
            guard case .parameter(let name) = segment else { return nil }
            return PathParameters.Capture(name: name, segmentIndex: index)
        }
        precondition(
            Set(captures.map(\.name)).count == captures.count,
            "\(text) repeats the name of a parameter")
    }

    var segmentCount: Int { segments.count }

    /// Whether the path matches. An empty segment never matches a parameter, so no route has the
    /// path `/v1/sessions//steps`.
    ///
    /// - Precondition: The path has `segmentCount` segments.
    func matches(_ path: [String]) -> Bool {
        for index in segments.indices {
            switch segments[index] {
            case .literal(let text): if text != path[index] { return false }
            case .parameter: if path[index].isEmpty { return false }
            }
        }
        return true
    }

    /// Sorts patterns of equal length by specificity: literals compare as themselves, parameters
    /// as a character greater than any in a literal. Two patterns with equal keys match the same
    /// paths.
    var sortKey: [String] {
        segments.map { if case .literal(let text) = $0 { text } else { "\u{10FFFF}" } }
    }

    /// Whether literals, parameters and the parameters' names are the same.
    func isIdentical(to other: RoutePattern) -> Bool { segments == other.segments }
}
