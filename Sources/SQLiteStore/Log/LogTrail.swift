package import DiskLog
package import SessionModel

/// The preamble of a frame of the write-ahead log: which sessions the frames just before it have
/// entries of, and the newest of each.
///
/// A frame that was damaged after it was synced says nothing any more. The frames behind it say
/// whose entries were in it, so that only these sessions are refused. A disk loses whole pages, and
/// a page may hold many frames: a trail goes back far enough for any one page.
///
/// On disk: four bytes 0, where an entry has the length of its session's identifier; then, in the
/// compact encoding of columns, epoch and number of the first frame that it covers, and for each
/// session its identifier and the sequence number of its newest entry.
package struct LogTrail: Equatable, Sendable {
    /// Covers the frames from here up to the one before its own.
    package var first: LogPosition
    package var newest: [SessionID: SequenceNumber]

    package init(first: LogPosition, newest: [SessionID: SequenceNumber]) {
        self.first = first
        self.newest = newest
    }

    package var record: [UInt8] {
        var columns = ColumnEncoder(.compact, reserving: 16 + 32 * newest.count)
        columns.append(.integer(Int64(clamping: first.epoch)))
        columns.append(.integer(Int64(clamping: first.frame)))
        for (session, sequence) in newest.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            columns.append(.text(session.rawValue))
            columns.append(.integer(Int64(sequence)))
        }
        return [0, 0, 0, 0] + columns.bytes
    }

    /// nil if the record is an entry.
    package init?(record: ArraySlice<UInt8>) throws(StoreError) {
        guard record.starts(with: [0, 0, 0, 0]) else { return nil }
        var columns = ColumnDecoder(.compact, record.dropFirst(4))
        let head = try columns.values(2)
        guard let epoch = head[0].integer, let frame = head[1].integer, epoch >= 0, frame >= 0
        else { throw .corrupt("a trail of the write-ahead log has no beginning") }
        first = LogPosition(epoch: UInt64(epoch), frame: UInt64(frame))
        newest = [:]
        while !columns.isAtEnd {
            let item = try columns.values(2)
            guard case .text(let text) = item[0], let session = SessionID(text),
                let sequence = item[1].integer
            else { throw .corrupt("a trail of the write-ahead log names no session") }
            newest[session] = Int(sequence)
        }
    }
}

/// The frames that the next trail covers. Changed under the log's lock.
package struct RecentFrames: Sendable {
    private struct Frame {
        var position: LogPosition
        /// Where it lies in its file.
        var range: Range<Int>
        var newest: [SessionID: SequenceNumber]
    }

    /// Disks lose whole pages of this size.
    package static let pageBytes = 4096

    private var frames: [Frame] = []

    package init() {}

    /// The trail of the next frame; nil if there is nothing before it.
    package var trail: LogTrail? {
        guard let first = frames.first else { return nil }
        return LogTrail(
            first: first.position,
            newest: frames.reduce(into: [:]) { newest, frame in
                newest.merge(frame.newest) { max($0, $1) }
            })
    }

    /// A frame was appended.
    package mutating func append(
        _ entries: [LoggedEntry], at position: LogPosition, in range: Range<Int>
    ) {
        // Whatever a page has that reaches into this frame: the frames after it are covered by
        // later trails.
        frames.removeAll {
            $0.position.epoch != position.epoch
                || $0.range.upperBound + Self.pageBytes <= range.lowerBound
        }
        var newest: [SessionID: SequenceNumber] = [:]
        for logged in entries {
            newest[logged.session] = max(newest[logged.session] ?? 0, logged.entry.sequence)
        }
        frames.append(Frame(position: position, range: range, newest: newest))
    }
}

/// The entries that the frames of a log have, and what is known of those that are missing.
struct RecoveredJournal {
    private(set) var entries: [LoggedEntry] = []
    /// Of each session with entries in the frames that are missing, how far its journal went there.
    private(set) var lost: [SessionID: (newest: SequenceNumber, gap: LogGap)] = [:]

    /// Throws `LogCorruption` if frames are missing and the trails don't say what was in them.
    init(_ contents: LogContents) throws {
        var uncovered = contents.gaps
        for frame in contents.frames {
            for record in frame.records {
                guard let trail = try LogTrail(record: record) else {
                    entries.append(try LoggedEntry(record: record))
                    continue
                }
                for (index, gap) in uncovered.enumerated().reversed()
                where gap.next == frame.position && trail.first.isAtMost(gap.first) {
                    uncovered.remove(at: index)
                    for (session, newest) in trail.newest {
                        lost[session] = (max(newest, lost[session]?.newest ?? 0), gap)
                    }
                }
            }
        }
        if let gap = uncovered.first { throw gap.corruption }
    }
}

extension LogPosition {
    func isAtMost(_ other: LogPosition) -> Bool {
        (epoch, frame) <= (other.epoch, other.frame)
    }
}
