/// The known name that a misspelt one probably means; nil when none is close enough to suggest.
public func nearestName(to name: String, in known: [String]) -> String? {
    let distances = known.map { (name: $0, distance: editDistance(name, $0)) }
    guard let best = distances.min(by: { $0.distance < $1.distance }) else { return nil }
    // One edit in three letters: `leaning_rate` isn't `lr`, `max_iters` is `max_iter`.
    return best.distance <= max(1, min(name.count, best.name.count) / 3) ? best.name : nil
}

/// Levenshtein's distance (1966) over lower-case letters, without underscores and hyphens:
/// `maxIter` is `max_iter`.
private func editDistance(_ left: String, _ right: String) -> Int {
    let left = letters(left)
    let right = letters(right)
    // Bounds the cost of names that a client makes up; no known name is as long.
    guard left.count <= 64 else { return .max }
    var row = Array(0...right.count)
    for (i, a) in left.enumerated() {
        var diagonal = row[0]
        row[0] = i + 1
        for (j, b) in right.enumerated() {
            let substituted = diagonal + (a == b ? 0 : 1)
            diagonal = row[j + 1]
            row[j + 1] = min(substituted, row[j] + 1, row[j + 1] + 1)
        }
    }
    return row[right.count]
}

private func letters(_ name: String) -> [UInt8] {
    name.lowercased().utf8.filter { $0 != UInt8(ascii: "_") && $0 != UInt8(ascii: "-") }
}
