/// What stood in the place of each `{name}` of a route's pattern.
public struct PathParameters: Sendable {
    /// The pattern's, made once with the router.
    struct Place: Sendable {
        var name: String
        /// Of the segment.
        var index: Int
    }

    private let places: [Place]
    private let path: [String]

    /// - Precondition: the path has every place.
    init(_ places: [Place], in path: [String]) {
        self.places = places
        self.path = path
    }

    public subscript(name: String) -> String? {
        places.first { $0.name == name }.map { path[$0.index] }
    }

    /// In the order of the pattern.
    public var pairs: [(name: String, value: String)] {
        places.map { ($0.name, path[$0.index]) }
    }
}

extension PathParameters: ExpressibleByDictionaryLiteral {
    public init(dictionaryLiteral elements: (String, String)...) {
        self.init(
            elements.enumerated().map { Place(name: $1.0, index: $0) }, in: elements.map(\.1))
    }
}
