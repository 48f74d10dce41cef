/// Where the bytes of a body go in the vector that it becomes: parts that follow each other in the
/// body, each to a place of its own.
struct Placement: Equatable, Sendable {
    /// In the order of the body; none is empty, and none goes on where the one before ended.
    let parts: [Range<Int>]
    /// The same in the order of the vector: which of `parts` they are.
    let order: [Int]
    /// What no part goes to, and so is zeros.
    let gaps: [Range<Int>]
    /// Bytes that the body has.
    let bodyBytes: Int
    /// Bytes that the vector has.
    let byteCount: Int

    /// - Precondition: the places lie within the vector and don't overlap.
    init(_ places: [Range<Int>], of byteCount: Int) {
        var parts: [Range<Int>] = []
        for place in places where !place.isEmpty {
            if let last = parts.last, last.upperBound == place.lowerBound {
                parts[parts.count - 1] = last.lowerBound..<place.upperBound
            } else {
                parts.append(place)
            }
        }
        var gaps: [Range<Int>] = []
        var end = 0
        let order = parts.indices.sorted { parts[$0].lowerBound < parts[$1].lowerBound }
        for part in order {
            precondition(end <= parts[part].lowerBound, "\(parts[part]) begins before \(end)")
            if end < parts[part].lowerBound { gaps.append(end..<parts[part].lowerBound) }
            end = parts[part].upperBound
        }
        precondition(end <= byteCount, "\(end) bytes are placed in \(byteCount)")
        if end < byteCount { gaps.append(end..<byteCount) }
        self.parts = parts
        self.order = order
        self.gaps = gaps
        self.byteCount = byteCount
        bodyBytes = parts.reduce(0) { $0 + $1.count }
    }

    /// A body that is the vector.
    init(whole byteCount: Int) { self.init([0..<byteCount], of: byteCount) }
}

/// How much of a body has come to its place.
struct PlacementProgress: Sendable {
    let placement: Placement
    /// Bytes of the body that have come.
    private(set) var taken = 0
    /// The vector has all of its bytes before this one; others may be there too.
    private(set) var filled = 0
    /// The part that is coming, and how many bytes of it have come.
    private var part = 0
    private var offset = 0
    /// How many of the parts in the order of the vector `filled` has passed.
    private var passed = 0

    init(_ placement: Placement) { self.placement = placement }

    var isWhole: Bool { taken == placement.bodyBytes }

    /// Where the next bytes go, `count` at most; nil when all have come.
    func place(_ count: Int) -> Range<Int>? {
        guard part < placement.parts.count else { return nil }
        let rest = placement.parts[part].dropFirst(offset)
        return rest.lowerBound..<min(rest.upperBound, rest.lowerBound + count)
    }

    /// So many bytes have come to the place that `place` named. O(parts) for all calls together.
    mutating func advance(_ count: Int) {
        taken += count
        offset += count
        if offset == placement.parts[part].count {
            part += 1
            offset = 0
        }
        while passed < placement.order.count {
            let next = placement.order[passed]
            guard next <= part, placement.parts[next].lowerBound <= filled else { return }
            if next == part {
                filled = placement.parts[next].lowerBound + offset
                return
            }
            filled = placement.parts[next].upperBound
            passed += 1
        }
    }
}
