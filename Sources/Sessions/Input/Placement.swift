/// Where the bytes of a body belong in the vector that it becomes: the body is a sequence of parts,
/// each of which goes to a byte range of the vector.
package struct Placement: Equatable, Sendable {
    /// The ranges in the order of the body. None is empty, and adjacent ones are merged.
    package let parts: [Range<Int>]
    /// Indices of `parts` in the order of the vector.
    package let order: [Int]
    /// Ranges of the vector that no part fills. They become zeros.
    package let gaps: [Range<Int>]
    /// Bytes of the body.
    package let bodyBytes: Int
    /// Bytes of the vector.
    package let byteCount: Int

    /// - Precondition: The ranges lie within the vector and do not overlap.
    package init(_ places: [Range<Int>], of byteCount: Int) {
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
    package init(whole byteCount: Int) { self.init([0..<byteCount], of: byteCount) }

    /// Writes zeros to the ranges that no part fills.
    /// - Precondition: `vector` points to `byteCount` bytes.
    package func clearGaps(of vector: UnsafeMutableRawPointer) {
        for gap in gaps {
            // Sound: a gap lies within the vector.
            unsafe (vector + gap.lowerBound).initializeMemory(
                as: UInt8.self, repeating: 0, count: gap.count)
        }
    }
}

/// How much of a body has been copied to its place.
package struct PlacementProgress: Sendable {
    let placement: Placement
    /// Bytes of the body that have been copied.
    package private(set) var taken = 0
    /// The vector is complete up to this byte. Later parts of it may be there too.
    package private(set) var filled = 0
    /// The part that is being copied, and how many of its bytes have been.
    private var part = 0
    private var offset = 0
    /// How many parts, counted in the order of the vector, lie before `filled`.
    private var passed = 0

    package init(_ placement: Placement) { self.placement = placement }

    package var isWhole: Bool { taken == placement.bodyBytes }

    /// Copies the next piece of the body to where it belongs. Bytes beyond the body's end are
    /// ignored. O(parts) for all calls together, beside the copying.
    /// - Precondition: `vector` points to the placement's `byteCount` bytes.
    package mutating func copy(
        _ piece: UnsafeRawBufferPointer, to vector: UnsafeMutableRawPointer
    ) {
        guard let source = piece.baseAddress else { return }
        var copied = 0
        while copied < piece.count, let place = place(piece.count - copied) {
            // Sound: the place lies within the vector, and is no longer than the rest of the piece.
            unsafe (vector + place.lowerBound).copyMemory(
                from: source + copied, byteCount: place.count)
            copied += place.count
            advance(place.count)
        }
    }

    /// Where the next bytes go, `count` at most; nil when the body has been copied.
    package func place(_ count: Int) -> Range<Int>? {
        guard part < placement.parts.count else { return nil }
        let rest = placement.parts[part].dropFirst(offset)
        return rest.lowerBound..<min(rest.upperBound, rest.lowerBound + count)
    }

    /// Counts bytes that were copied to the range that `place` returned.
    package mutating func advance(_ count: Int) {
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
