import GRDB
import SessionModel

/// A row of `chapter`: entries of one session, one after the other, that nothing replays any more
/// and that are kept for their traces.
///
/// An entry that goes to `event` costs a row there and one in its index, and a session that is told
/// often leaves hundreds with each snapshot. The newest entry of a session is always in `event`.
struct Chapter {
    let id: Int64
    /// All of them have a trace, and there is one at least.
    let entries: [JournalEntry]

    /// Who looks for one entry reads a chapter.
    static let entriesMax = 128
    /// Fewer are better off in rows of their own.
    static let entriesMin = 16

    init(_ row: Row) throws {
        var columns = try SealedRowReader(row, of: "chapter", leading: 1)
        id = row[0]
        _ = try columns.int64()
        _ = try columns.int()
        let count = try columns.int()
        var body = PackedRowReader(try columns.require(columns.optionalBytes())[...])
        var entries: [JournalEntry] = []
        while !body.isAtEnd {
            var entry = SealedRowReader(try body.values(EventRow.columns), of: "chapter")
            entries.append(try EventRow(&entry).entry)
        }
        guard entries.count == count, count > 0 else {
            throw StoreError.corrupt("a chapter has \(entries.count) entries, not \(count)")
        }
        self.entries = entries
    }

    /// Those that tell evaluation `first` or a later one.
    func entries(from first: EvaluationNumber) -> [JournalEntry] {
        entries.filter { ($0.trace?.evaluation ?? 0) >= first }
    }

    static func sealed(
        _ entries: some BidirectionalCollection<JournalEntry>, session: Int64
    ) -> SealedRow {
        var body = PackedRowWriter(reserving: entries.count * RowBytes.entry)
        for entry in entries { EventRow.add(entry, session: 0, payload: nil, to: &body) }
        var row = SealedRow()
        row.add(session)
        row.add(entries.last?.trace?.evaluation)
        row.add(entries.count)
        row.add(body.bytes)
        return row
    }
}

extension WriteTransaction {
    /// Writes the entries, in order of sequence, as chapters.
    func insertChapters(_ entries: [JournalEntry], session: Int64) throws {
        for start in stride(from: 0, to: entries.count, by: Chapter.entriesMax) {
            let part = entries[start..<min(entries.count, start + Chapter.entriesMax)]
            try database.run(
                .insertChapter, binding: Chapter.sealed(part, session: session).values)
        }
    }

    /// Takes the entries at these places of the journal out of a chapter.
    func remove(
        _ sequences: Set<SequenceNumber>, from chapter: Chapter, of session: Int64
    ) throws {
        let kept = chapter.entries.filter { !sequences.contains($0.sequence) }
        if kept.isEmpty {
            try database.run(.deleteChapter, [chapter.id])
        } else if kept.count < chapter.entries.count {
            let row = Chapter.sealed(kept, session: session)
            try database.run(
                .updateChapter, binding: row.values + [ColumnValue.integer(chapter.id)])
        }
    }
}

extension ReadTransaction {
    /// The session's chapters that reach to evaluation `first`, in order, until they have `count`
    /// entries from there on.
    func chapters(
        _ session: Int64, from first: EvaluationNumber, count: Int
    ) throws -> [Chapter] {
        var chapters: [Chapter] = []
        var found = 0
        var next = first
        while found < count,
            let row = try database.rows(.chapterReaching, [session, next]).first
        {
            let chapter = try Chapter(row)
            chapters.append(chapter)
            found += chapter.entries(from: first).count
            next = (chapter.entries.last?.trace?.evaluation ?? next) + 1
        }
        return chapters
    }
}
