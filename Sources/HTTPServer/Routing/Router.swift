public import HTTPTypes

/// What a method and a path come to.
public enum Resolution: Sendable {
    case matched(Route, parameters: PathParameters)
    /// The path exists; `allow` is what may be done with it, `HEAD` and `OPTIONS` included.
    case methodNotAllowed(allow: [HTTPRequest.Method])
    case notFound
}

/// Finds the route for a path. A value: built once, never changed, shared by every thread.
///
/// Paths are grouped by their number of segments, and within a group the more literal pattern is
/// tried first, so `/v1/sessions/default` wins over `/v1/sessions/{s}` whatever the order of the
/// routes. A trailing slash makes a different path: two names for one resource would have two
/// ETags.
public struct Router: Sendable {
    public let routes: [Route]
    /// Index: the number of segments.
    private let paths: [[Path]]

    private enum Segment: Equatable {
        case literal(String)
        case parameter(String)
    }

    private struct Path: Sendable {
        var segments: [Segment]
        var places: [PathParameters.Place]
        var routes: [Route]
        var allow: [HTTPRequest.Method]
    }

    /// Traps when a pattern is malformed or two routes have the same method and path: both are
    /// mistakes of the program, not of a client.
    public init(_ routes: [Route]) {
        self.routes = routes
        var paths: [[Path]] = []
        for route in routes {
            let segments = Self.parse(route.pattern)
            while paths.count <= segments.count { paths.append([]) }
            let shape = Self.shape(segments)
            if let index = paths[segments.count].firstIndex(where: {
                Self.shape($0.segments) == shape
            }) {
                let known = paths[segments.count][index]
                precondition(
                    !known.routes.contains { $0.method == route.method },
                    "two routes for \(route.method) \(route.pattern)")
                precondition(
                    known.segments == segments,
                    "\(route.pattern) names the parameters of another route differently")
                paths[segments.count][index].routes.append(route)
            } else {
                paths[segments.count].append(
                    Path(
                        segments: segments, places: Self.places(segments), routes: [route],
                        allow: []))
            }
        }
        self.paths = paths.map { group in
            group.map { path in
                var path = path
                path.allow = Self.allow(path.routes.map(\.method))
                return path
            }
            .sorted { Self.shape($0.segments).lexicographicallyPrecedes(Self.shape($1.segments)) }
        }
    }

    /// Cost: O(patterns of that length). `HEAD` is answered by the route of `GET`.
    public func resolve(_ method: HTTPRequest.Method, _ path: [String]) -> Resolution {
        guard path.count < paths.count,
            let match = paths[path.count].first(where: { Self.matches($0.segments, path) })
        else { return .notFound }
        let route =
            match.routes.first { $0.method == method }
            ?? (method == .head ? match.routes.first { $0.method == .get } : nil)
        guard let route else { return .methodNotAllowed(allow: match.allow) }
        return .matched(route, parameters: PathParameters(match.places, in: path))
    }

    /// An empty segment fills no parameter: `/v1/sessions//steps` is nobody's path.
    private static func matches(_ segments: [Segment], _ path: [String]) -> Bool {
        for index in segments.indices {
            switch segments[index] {
            case .literal(let text): if text != path[index] { return false }
            case .parameter: if path[index].isEmpty { return false }
            }
        }
        return true
    }

    private static func parse(_ pattern: String) -> [Segment] {
        precondition(pattern.utf8.first == UInt8(ascii: "/"), "\(pattern) must begin with a slash")
        let segments = pattern.dropFirst().split(separator: "/", omittingEmptySubsequences: false)
        let parsed = segments.map { text -> Segment in
            guard text.hasPrefix("{"), text.hasSuffix("}") else {
                precondition(
                    !text.contains("{") && !text.contains("}"),
                    "\(pattern): a parameter takes a whole segment")
                return .literal(String(text))
            }
            return .parameter(String(text.dropFirst().dropLast()))
        }
        let names = parsed.compactMap { if case .parameter(let name) = $0 { name } else { nil } }
        precondition(Set(names).count == names.count, "\(pattern) names a parameter twice")
        return parsed
    }

    private static func places(_ segments: [Segment]) -> [PathParameters.Place] {
        segments.enumerated().compactMap { index, segment in
            guard case .parameter(let name) = segment else { return nil }
            return PathParameters.Place(name: name, index: index)
        }
    }

    /// Literals as themselves and parameters as a character that sorts after every literal's.
    private static func shape(_ segments: [Segment]) -> [String] {
        segments.map { if case .literal(let text) = $0 { text } else { "\u{10FFFF}" } }
    }

    private static func allow(_ methods: [HTTPRequest.Method]) -> [HTTPRequest.Method] {
        var allow = methods
        if allow.contains(.get), !allow.contains(.head) { allow.append(.head) }
        if !allow.contains(.options) { allow.append(.options) }
        return allow.sorted { $0.rawValue < $1.rawValue }
    }
}
