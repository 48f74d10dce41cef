/// The values of a pattern's `{name}` parameters in one path.
public struct PathParameters: Sendable {
    /// Which segment of the path a parameter takes. Computed once per pattern.
    struct Capture: Sendable {
        var name: String
        var segmentIndex: Int
    }

    private let captures: [Capture]
    private let path: [String]

    /// - Precondition: The path has a segment for each capture.
    init(_ captures: [Capture], in path: [String]) {
        self.captures = captures
        self.path = path
    }

    public subscript(name: String) -> String? {
        captures.first { $0.name == name }.map { path[$0.segmentIndex] }
    }

    /// All parameters, in the order of the pattern.
    public var pairs: [(name: String, value: String)] {
        captures.map { ($0.name, path[$0.segmentIndex]) }
    }
}

extension PathParameters: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (String, String)...) {
        self.init(
            elements.enumerated().map { Capture(name: $1.0, segmentIndex: $0) },
            in: elements.map(\.1))
    }
}
