import SQLiteStore
import SessionModel
import Testing

@Suite("The memtable of the log")
struct EntryMemtableTests {
    private func logged(_ session: Int, _ sequence: SequenceNumber) -> LoggedEntry {
        LoggedEntry(session: make(session: session), entry: make(told: sequence, at: sequence))
    }

    @Test("Entries are there in order until they are flushed")
    func flushed() {
        let memtable = EntryMemtable()
        #expect(memtable.isEmpty)
        memtable.add([logged(1, 2), logged(2, 7), logged(1, 3)])
        memtable.add([logged(1, 4)])
        let session = make(session: 1)
        #expect(memtable.entries(of: session).map(\.sequence) == [2, 3, 4])
        #expect(memtable.newestSequence(of: session) == 4)
        memtable.remove(session, through: 3)
        #expect(memtable.entries(of: session).map(\.sequence) == [4])
        #expect(memtable.count(of: session) == 1)
        memtable.remove(session, through: .max)
        #expect(memtable.newestSequence(of: session) == nil)
        #expect(Array(memtable.all.keys) == [make(session: 2)])
        memtable.remove(make(session: 2), through: 7)
        #expect(memtable.isEmpty)
    }

    @Test("Entries that the tables have are skipped, and a gap is corruption")
    func following() throws {
        let entries = (3...5).map { make(told: $0, at: $0) }
        #expect(try entries.following(2).map(\.sequence) == [3, 4, 5])
        #expect(try entries.following(4).map(\.sequence) == [5])
        #expect(try entries.following(9).isEmpty)
        #expect(throws: StoreError.self) { try entries.following(1) }
    }
}
