internal import struct Foundation.Date

/// A session as a catalog holds it: its line in a list, and what lists are filtered and ordered by.
/// A reference, so that a reader can take many of them at once.
final class ListedSession: Sendable {
    /// Its parameters are joined to one, since a list shows only their count.
    let summary: SessionSummary
    /// Name, identifier and labels in lower case, each after a zero.
    private let folded: [UInt8]
    private let foldedName: String?
    /// Microseconds since 1970, as a store keeps them.
    let createdAt: Int64

    init(_ summary: SessionSummary) {
        let record = summary.record
        var summary = summary
        summary.record.parameters = [ParameterSpec(name: nil, shape: [record.parameterCount])]
        self.summary = summary
        foldedName = record.name?.lowercased()
        let labels = record.labels.map { "\($0.key):\($0.value)".lowercased() }.sorted()
        folded = ([foldedName ?? "", record.id.rawValue] + labels).flatMap { [0] + $0.utf8 }
        createdAt = Self.microseconds(record.createdAt)
    }

    private init(_ former: ListedSession, _ summary: SessionSummary) {
        self.summary = summary
        (folded, foldedName) = (former.folded, former.foldedName)
        createdAt = former.createdAt
    }

    /// The same session after a change that left its record as it was.
    func updated(
        _ status: SessionStatus, _ progress: SessionProgress, at time: Date,
        sequence: SequenceNumber
    ) -> ListedSession {
        var summary = summary
        summary.status = status
        summary.progress = progress
        summary.updatedAt = time
        summary.sequence = sequence
        return ListedSession(self, summary)
    }

    var id: SessionID { summary.record.id }

    /// What it takes in memory, about.
    var bytes: Int {
        let record = summary.record
        let labels = record.labels.reduce(0) { $0 + 64 + $1.key.utf8.count + $1.value.utf8.count }
        return 700 + 2 * (record.name?.utf8.count ?? 0) + labels + folded.count
    }

    func isNewer(than other: ListedSession) -> Bool {
        let (own, others) = (summary.record.metadataVersion, other.summary.record.metadataVersion)
        return (summary.sequence, own) > (other.summary.sequence, others)
    }

    // MARK: Queries

    /// - Parameter text: The query's, in lower case.
    func matches(_ query: SessionQuery, text: [UInt8]?) -> Bool {
        let record = summary.record
        if let state = query.state, summary.status.phase != state { return false }
        if let mode = query.mode, summary.progress?.mode != mode { return false }
        if let ensemble = query.ensemble, summary.ensemble != ensemble { return false }
        if query.isUnnamed, record.name != nil { return false }
        if let date = query.unchangedSince, summary.updatedAt > date { return false }
        if let name = query.name, record.name != name { return false }
        if let label = query.label, record.labels[label.key] != label.value { return false }
        return text.map { folded.contains(bytes: $0) } ?? true
    }

    /// Its place in a list.
    func cursor(in order: SessionQuery.Order) -> ListCursor {
        let key: ListCursor.Key? =
            switch order {
            case .created: .number(Double(createdAt))
            case .updated: .number(Double(Self.microseconds(summary.updatedAt)))
            case .bestLoss: summary.progress?.best.map { .number($0.loss) }
            case .name: foldedName.map { .text($0) }
            }
        return ListCursor(key: key, createdAt: createdAt, session: id)
    }

    private static func microseconds(_ date: Date) -> Int64 {
        Int64((date.timeIntervalSince1970 * 1e6).rounded())
    }
}

extension ListCursor {
    /// Whether a list has this place before the other.
    func precedes(_ other: ListCursor, isDescending: Bool) -> Bool {
        switch (key, other.key) {
        case (.number(let own), .number(let others)) where own != others:
            return isDescending ? own > others : own < others
        case (.text(let own), .text(let others)) where own != others:
            return isDescending ? own > others : own < others
        case (nil, .some): return false
        case (.some, nil): return true
        default: break
        }
        if createdAt != other.createdAt { return createdAt > other.createdAt }
        return session.rawValue < other.session.rawValue
    }
}

extension [UInt8] {
    /// Whether `part` is somewhere in it. Short texts, so that nothing better than comparing at
    /// each place is worth its preparation.
    fileprivate func contains(bytes part: [UInt8]) -> Bool {
        guard let first = part.first, count >= part.count else { return part.isEmpty }
        return (0...(count - part.count)).contains { start in
            self[start] == first && self[start..<start + part.count].elementsEqual(part)
        }
    }
}
