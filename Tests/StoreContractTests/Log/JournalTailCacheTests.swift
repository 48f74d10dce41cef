import SQLiteStore
import SessionModel
import Testing

@Suite("The cache of journals' tails")
struct JournalTailCacheTests {
    private func logged(_ session: Int, _ sequence: SequenceNumber) -> LoggedEntry {
        LoggedEntry(session: make(session: session), entry: make(told: sequence, at: sequence))
    }

    @Test("Entries that come next advance a tail, others are refused with what was expected")
    func advanced() {
        let tails = JournalTailCache()
        tails[make(session: 1)] = JournalTailCache.Tail(rowID: 5, newestSequence: 1)
        tails[make(session: 2)] = JournalTailCache.Tail(rowID: 6, newestSequence: 9)
        let errors = tails.advance([logged(1, 2), logged(2, 12), logged(1, 3)])
        #expect(errors == [1: .outOfOrder(expected: 10, got: 12)])
        #expect(
            tails[make(session: 1)] == JournalTailCache.Tail(rowID: 5, newestSequence: 3))
        #expect(tails[make(session: 2)]?.newestSequence == 9)
    }

    @Test("If one tail is not cached, none advances")
    func unknown() {
        let tails = JournalTailCache()
        tails[make(session: 1)] = JournalTailCache.Tail(rowID: 5, newestSequence: 1)
        #expect(tails.advance([logged(1, 2), logged(3, 1)]) == nil)
        #expect(tails[make(session: 1)]?.newestSequence == 1)
        tails.invalidateAll()
        #expect(tails[make(session: 1)] == nil)
    }
}
