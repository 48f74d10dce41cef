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

    /// An entry is being synced on the log's thread while the writer's transaction fails, and the
    /// writer then flushes the session's other entries.
    @Test("A tail that is looked up while an entry is appended does not go back behind it")
    func lookedUpMeanwhile() throws {
        let session = make(session: 1)
        let inTables = JournalTailCache.Tail(rowID: 5, newestSequence: 1)
        let tails = JournalTailCache()
        let memtable = EntryMemtable([session: [logged(1, 2).entry]])
        func tail() throws -> SequenceNumber {
            try tails.tail(of: session, memtable) { inTables }.newestSequence
        }
        #expect(try tail() == 2)
        #expect(tails.advance([logged(1, 3)]) == [:])
        tails.invalidateAll()
        #expect(try tail() == 3)
        memtable.add([logged(1, 3)])
        tails.appended()
        #expect(tails.advance([logged(1, 4)]) == [:], "the next entry comes next")
        memtable.add([logged(1, 4)])
        tails.appended()
        tails.invalidateAll()
        #expect(try tail() == 4)
    }

    /// The lookup has read the tables, and the entry arrives before it goes on.
    @Test("A tail that is looked up around the end of an append has its entry")
    func lookedUpAround() throws {
        let session = make(session: 1)
        let tails = JournalTailCache()
        let memtable = EntryMemtable()
        tails[session] = JournalTailCache.Tail(rowID: 5, newestSequence: 1)
        #expect(tails.advance([logged(1, 2)]) == [:])
        tails.invalidateAll()
        let tail = try tails.tail(of: session, memtable) {
            memtable.add([logged(1, 2)])
            tails.appended()
            return JournalTailCache.Tail(rowID: 5, newestSequence: 1)
        }
        #expect(tail.newestSequence == 2)
        #expect(tails.advance([logged(1, 3)]) == [:])
    }

    @Test("A tail is looked up again after an append that failed")
    func failed() throws {
        let session = make(session: 1)
        let tails = JournalTailCache()
        tails[session] = JournalTailCache.Tail(rowID: 5, newestSequence: 1)
        #expect(tails.advance([logged(1, 2)]) == [:])
        tails.failed()
        let tail = try tails.tail(of: session, EntryMemtable()) {
            JournalTailCache.Tail(rowID: 5, newestSequence: 1)
        }
        #expect(tail.newestSequence == 1)
    }
}
