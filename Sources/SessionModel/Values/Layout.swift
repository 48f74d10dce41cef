/// A group of parameters, as in torch's `param_groups`. Options are the session's, not a group's.
public struct ParameterGroup: Equatable, Sendable, Codable {
    public var name: String?
    /// Positions of its parameters in the session.
    public var parameters: Range<Int>
    /// Whether its gradient counts as zero, so that its parameters do not move.
    public var isFrozen: Bool

    public init(name: String?, parameters: Range<Int>, isFrozen: Bool = false) {
        self.name = name
        self.parameters = parameters
        self.isFrozen = isFrozen
    }
}

/// The parameters of a session and their groups. It grows when a group joins.
package struct Layout: Equatable, Sendable, Codable {
    package private(set) var parameters: [ParameterSpec]
    package private(set) var groups: [ParameterGroup]

    /// One group of all.
    package init(parameters: [ParameterSpec]) {
        self.parameters = parameters
        groups = [ParameterGroup(name: nil, parameters: parameters.indices)]
    }

    /// n: numbers in all parameters together.
    package var count: Int { parameters.reduce(0) { $0 + $1.count } }
    package var isNamed: Bool { parameters.first?.name != nil }

    package mutating func append(_ specs: [ParameterSpec], name: String?) {
        let first = parameters.count
        parameters += specs
        groups.append(ParameterGroup(name: name, parameters: first..<parameters.count))
    }

    package mutating func change(_ group: Int, name: String?, isFrozen: Bool) {
        groups[group].name = name
        groups[group].isFrozen = isFrozen
    }

    /// - Precondition: as many names as parameters.
    package mutating func rename(_ names: [String]) {
        for (index, name) in names.enumerated() { parameters[index].name = name }
    }

    /// The range of each parameter in a flat vector.
    package var ranges: [Range<Int>] {
        var start = 0
        return parameters.map { spec in
            defer { start += spec.count }
            return start..<start + spec.count
        }
    }

    /// The ranges of the frozen groups in a flat vector.
    package var frozenRanges: [Range<Int>] {
        let ranges = ranges
        return groups.filter(\.isFrozen).compactMap { group in
            guard let first = group.parameters.first, let last = group.parameters.last else {
                return nil
            }
            return ranges[first].lowerBound..<ranges[last].upperBound
        }
    }

    package func count(of group: ParameterGroup) -> Int {
        parameters[group.parameters].reduce(0) { $0 + $1.count }
    }
}
