public import HTTPTypes

/// Finds the route for a method and path. Immutable after `init`, and shared by all threads.
///
/// Patterns are grouped by their number of segments. In a group the more literal pattern is tried
/// first, so `/v1/sessions/default` takes precedence over `/v1/sessions/{s}` in whatever order the
/// routes were given. A path with a trailing slash is a different path: two names of one resource
/// would have two ETags.
public struct Router: Sendable {
    public enum Resolution: Sendable {
        case matched(Route, parameters: PathParameters)
        /// The path exists but has no route for the method. `allow` lists the supported methods,
        /// including `HEAD` and `OPTIONS`.
        case methodNotAllowed(allow: [HTTPRequest.Method])
        case notFound
    }

    public let routes: [Route]
    /// The index is the number of segments.
    private let pathsBySegmentCount: [[Path]]

    /// One pattern with its routes, which differ in their methods.
    private struct Path: Sendable {
        let pattern: RoutePattern
        private(set) var routes: [Route]
        private(set) var allow: [HTTPRequest.Method]

        init(pattern: RoutePattern, route: Route) {
            self.pattern = pattern
            routes = [route]
            allow = Router.allowedMethods([route.method])
        }

        mutating func add(_ route: Route) {
            routes.append(route)
            allow = Router.allowedMethods(routes.map(\.method))
        }

        /// `HEAD` is answered by the route of `GET`.
        func route(for method: HTTPRequest.Method) -> Route? {
            routes.first { $0.method == method }
                ?? (method == .head ? routes.first { $0.method == .get } : nil)
        }
    }

    /// - Precondition: Every pattern is well-formed, no two routes have the same method and path,
    ///   and routes with the same path name its parameters identically.
    public init(_ routes: [Route]) {
        self.routes = routes
        var groups: [[Path]] = []
        for route in routes {
            let pattern = RoutePattern(route.pattern)
            while groups.count <= pattern.segmentCount { groups.append([]) }
            Self.insert(route, pattern, into: &groups[pattern.segmentCount])
        }
        pathsBySegmentCount = groups.map { group in
            group.sorted { $0.pattern.sortKey.lexicographicallyPrecedes($1.pattern.sortKey) }
        }
    }

    private static func insert(_ route: Route, _ pattern: RoutePattern, into group: inout [Path]) {
        guard let index = group.firstIndex(where: { $0.pattern.sortKey == pattern.sortKey }) else {
            group.append(Path(pattern: pattern, route: route))
            return
        }
        precondition(
            !group[index].routes.contains { $0.method == route.method },
            "two routes for \(route.method) \(route.pattern)")
        precondition(
            group[index].pattern.isIdentical(to: pattern),
            "\(route.pattern) names its parameters differently from another route")
        group[index].add(route)
    }

    /// Cost: O(patterns with that number of segments).
    public func resolve(_ method: HTTPRequest.Method, _ path: [String]) -> Resolution {
        guard path.count < pathsBySegmentCount.count,
            let match = pathsBySegmentCount[path.count].first(where: { $0.pattern.matches(path) })
        else { return .notFound }
        guard let route = match.route(for: method) else {
            return .methodNotAllowed(allow: match.allow)
        }
        return .matched(route, parameters: PathParameters(match.pattern.captures, in: path))
    }

    private static func allowedMethods(_ methods: [HTTPRequest.Method]) -> [HTTPRequest.Method] {
        var allow = methods
        if allow.contains(.get), !allow.contains(.head) { allow.append(.head) }
        if !allow.contains(.options) { allow.append(.options) }
        return allow.sorted { $0.rawValue < $1.rawValue }
    }
}
