import DiskLog
import SQLiteStore
import SessionModel
import Testing

@Suite("The schedule of the log's checkpoint")
struct LogCheckpointScheduleTests {
    private func position(_ epoch: UInt64, _ frame: UInt64) -> LogPosition {
        LogPosition(epoch: epoch, frame: frame)
    }

    @Test("Flushing proceeds a quarter faster than the file fills")
    func pace() {
        var schedule = LogCheckpointSchedule(unflushed: [], position: position(1, 0))
        #expect(!schedule.isDue)
        let sessions = (1...4).map { make(session: $0) }
        schedule.epochBegan(at: position(2, 0), unflushed: Set(sessions))
        #expect(!schedule.isDue)
        schedule.appended(to: position(2, 1), fractionFilled: 0.19)
        #expect(schedule.isDue)
        schedule.flushed(sessions[0])
        #expect(!schedule.isDue)
        schedule.appended(to: position(2, 2), fractionFilled: 0.61)
        #expect(schedule.isDue)
        for session in sessions { schedule.flushed(session) }
        schedule.appended(to: position(2, 3), fractionFilled: 1)
        #expect(!schedule.isDue)
        #expect(schedule.position == position(2, 3))
    }

    @Test("After recovery, and after a failure, it waits until the log is full")
    func paused() {
        let session = make(session: 1)
        var schedule = LogCheckpointSchedule(unflushed: [session], position: position(1, 4))
        schedule.appended(to: position(1, 5), fractionFilled: 1)
        #expect(!schedule.isDue)
        schedule.flushed(session)
        schedule.epochBegan(at: position(2, 0), unflushed: [session])
        schedule.appended(to: position(2, 1), fractionFilled: 0.5)
        #expect(schedule.isDue)
        schedule.pause()
        #expect(!schedule.isDue)
    }
}
