import SQLiteStore
import Testing

@Suite("The leader of a group commit")
struct GroupCommitLeaderTests {
    /// `#expect` itself takes no mutating call.
    private func expect<Value: Equatable>(
        _ action: Value, _ expected: Value, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(action == expected, sourceLocation: sourceLocation)
    }

    @Test("Without event loops the log's thread leads until nothing waits")
    func logThread() {
        var leader = GroupCommitLeader()
        expect(leader.entriesArrived(areSyncsQuick: true), .startLogThread)
        // Further entries join the groups that follow.
        expect(leader.entriesArrived(areSyncsQuick: true), .wait)
        expect(leader.logThreadContinues(entriesWaiting: 2, isClosed: false), true)
        expect(leader.logThreadContinues(entriesWaiting: 1, isClosed: false), true)
        expect(leader.logThreadContinues(entriesWaiting: 0, isClosed: false), false)
        expect(leader.entriesArrived(areSyncsQuick: true), .startLogThread)
    }

    @Test("An event loop that is awake leads when it has drained its requests")
    func eventLoop() {
        var leader = GroupCommitLeader()
        leader.eventLoopWoke()
        expect(leader.entriesArrived(areSyncsQuick: true), .wait)
        expect(leader.eventLoopDrained(entriesWaiting: 1, mayLead: true), .lead)
        // Another event loop leaves it to the leader.
        leader.eventLoopWoke()
        expect(leader.eventLoopDrained(entriesWaiting: 1, mayLead: true), .wait)
        expect(leader.eventLoopAppended(entriesWaiting: 0), .wait)
        expect(leader.eventLoopDrained(entriesWaiting: 0, mayLead: true), .wait)
        #expect(!leader.hasLeader)
    }

    @Test("Entries that arrived while an event loop appended go to the log's thread")
    func followers() {
        var leader = GroupCommitLeader()
        leader.eventLoopWoke()
        expect(leader.eventLoopDrained(entriesWaiting: 3, mayLead: true), .lead)
        expect(leader.eventLoopAppended(entriesWaiting: 2), .startLogThread)
        #expect(leader.hasLeader)
    }

    @Test("When syncs are slow or entries many, the log's thread leads")
    func slow() {
        var leader = GroupCommitLeader()
        leader.eventLoopWoke()
        expect(leader.entriesArrived(areSyncsQuick: false), .startLogThread)
        var other = GroupCommitLeader()
        other.eventLoopWoke()
        expect(other.entriesArrived(areSyncsQuick: true), .wait)
        expect(other.eventLoopDrained(entriesWaiting: 99, mayLead: false), .startLogThread)
    }

    @Test("Entries arrive for the log's thread again when the last event loop blocks")
    func blocked() {
        var leader = GroupCommitLeader()
        leader.eventLoopWoke()
        leader.eventLoopWoke()
        leader.eventLoopWillBlock()
        expect(leader.entriesArrived(areSyncsQuick: true), .wait)
        leader.eventLoopWillBlock()
        expect(leader.entriesArrived(areSyncsQuick: true), .startLogThread)
    }

    @Test("Entries that need the writer wait for it until it has taken all of them")
    func writer() {
        var leader = GroupCommitLeader()
        leader.eventLoopWoke()
        expect(leader.eventLoopDrained(entriesWaiting: 2, mayLead: true), .lead)
        leader.writerNeeded()
        expect(leader.eventLoopAppended(entriesWaiting: 2), .wait)
        expect(leader.entriesArrived(areSyncsQuick: true), .wait)
        expect(leader.eventLoopDrained(entriesWaiting: 3, mayLead: true), .wait)
        leader.writerTook(entriesWaiting: 1)
        #expect(leader.needsWriter)
        leader.writerTook(entriesWaiting: 0)
        expect(leader.eventLoopDrained(entriesWaiting: 1, mayLead: true), .lead)
    }

    @Test("Before the store closes the log's thread leaves the last entries to the writer")
    func closed() {
        var leader = GroupCommitLeader()
        expect(leader.entriesArrived(areSyncsQuick: true), .startLogThread)
        expect(leader.logThreadContinues(entriesWaiting: 4, isClosed: true), false)
    }
}
