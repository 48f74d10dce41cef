import DiskLog
import SQLiteStore
import Sessions
import Testing

/// What frames say of the frames before them.
@Suite struct LogTrailTests {
    private func logged(_ session: Int, _ sequence: Int) -> LoggedEntry {
        LoggedEntry(session: make(session: session), entry: make(entry: sequence, .told))
    }

    private func position(_ epoch: UInt64, _ frame: UInt64) -> LogPosition {
        LogPosition(epoch: epoch, frame: frame)
    }

    @Test("A trail is read as it was written, and is no entry")
    func coded() throws {
        let trail = LogTrail(
            first: position(7, 1 << 40), newest: [make(session: 1): 5, make(session: 2): 1 << 33])
        #expect(try LogTrail(record: trail.record[...]) == trail)
        #expect(throws: StoreError.self) { try LoggedEntry(record: trail.record[...]) }
        #expect(try LogTrail(record: logged(1, 2).record()[...]) == nil)
        for count in 4..<trail.record.count {
            let cut = try? LogTrail(record: trail.record[..<count])
            #expect(cut != trail)
        }
    }

    @Test("A trail covers whatever one page reaches that reaches its newest frame")
    func window() {
        var recent = RecentFrames()
        #expect(recent.trail == nil)
        recent.append([logged(1, 2)], at: position(1, 0), in: 0..<1000)
        #expect(recent.trail == LogTrail(first: position(1, 0), newest: [make(session: 1): 2]))
        recent.append([logged(2, 9), logged(1, 3)], at: position(1, 1), in: 1000..<5000)
        #expect(
            recent.trail
                == LogTrail(
                    first: position(1, 0), newest: [make(session: 1): 3, make(session: 2): 9]))
        // Frame 0 ended more than a page before.
        recent.append([logged(3, 4)], at: position(1, 2), in: 5096..<5200)
        #expect(recent.trail?.first == position(1, 1))
        // The first frame of the next epoch has a trail about the one before.
        #expect(recent.trail?.newest.count == 3)
        recent.append([logged(3, 5)], at: position(2, 0), in: 0..<100)
        #expect(recent.trail == LogTrail(first: position(2, 0), newest: [make(session: 3): 5]))
    }
}
