import Dispatch
import DiskLog
public import SessionModel

// The primary's side of replication.

extension SQLiteStore: ReplicationSource {
    public var replicationStatus: ReplicationStatus { feed.status }

    public var writeRefusal: ReplicationError? { feed.writeRefusal }

    /// To be called several times a second, so that a missing standby is noticed.
    public func checkStandby() { feed.checkStandby() }

    /// To be called when no more requests are answered: nothing waits for the standby any more.
    public func endReplication() { feed.end() }

    public func confirm() async throws(ReplicationError) { try await feed.confirm() }

    public func beginBase(
        standby: String, term: Int
    ) async throws(ReplicationError) -> ReplicationStatus {
        try await fence(term: term)
        try await committer.beginBase(for: standby)
        return feed.status
    }

    public func changes(
        after number: Int, of feed: String, standby: String, term: Int, isCopying: Bool,
        waitSeconds: Double
    ) async throws(ReplicationError) -> [UInt8] {
        try await fence(term: term)
        return try await self.feed.changes(
            after: number, of: feed, standby: standby, isCopying: isCopying,
            waitSeconds: waitSeconds)
    }

    public func fence(term: Int) async throws(ReplicationError) {
        guard term > feed.term else { return }
        var role = ReplicationRole()
        role.kind = .fenced
        role.term = term
        do {
            // Before anything else: a restart must not forget it.
            try role.write(in: directory.path)
        } catch {
            throw .failed("\(error)")
        }
        await committer.fence(term: term)
        feed.fence(term: term)
    }

    /// The former primary of a promoted store, which has not been told of that; nil if there is
    /// none.
    public var formerPrimary: String? {
        directory.role.kind == .primary ? directory.role.peer : nil
    }

    /// The former primary knows that it is one.
    public func formerPrimaryIsFenced() throws(StoreError) {
        var role = try ReplicationRole.read(in: directory.path)
        guard role.kind == .primary else { return }
        role.peer = nil
        try role.write(in: directory.path)
    }

    // MARK: Files

    public func filePart(
        _ name: String, from offset: Int, count: Int
    ) async throws(ReplicationError) -> [UInt8] {
        guard feed.isActive else { throw .gone }
        // What is written from here on is in no change.
        guard !feed.isEnded else { throw .failed("the daemon is stopping") }
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<[UInt8], ReplicationError>, Never>) in
            DispatchQueue.global().async { [self] in
                continuation.resume(
                    returning: Result { () throws(ReplicationError) in
                        try readPart(name, from: offset, count: count)
                    })
            }
        }
        return try result.get()
    }

    private func readPart(
        _ name: String, from offset: Int, count: Int
    ) throws(ReplicationError) -> [UInt8] {
        do {
            let file = try replicatedFile(name)
            let size = try file.size()
            guard offset < size else { return [] }
            return try StoreBackup.bytes(of: file, at: offset, count: min(count, size - offset))
        } catch let error as FileError where error.isAbsent {
            throw .fileMissing(name)
        } catch let error as ReplicationError {
            throw error
        } catch {
            throw .failed("\(error)")
        }
    }

    private func replicatedFile(_ name: String) throws -> DiskFile {
        switch name {
        case "lbfgsd.sqlite": return try committer.tablesFile.file(directory.database)
        case "1.log", "2.log":
            return try DiskFile(directory.journal + "/" + name, for: .reading)
        default:
            guard SegmentDirectory.number(ofFile: name) != nil else {
                throw ReplicationError.fileMissing(name)
            }
            return try DiskFile(directory.segments + "/" + name, for: .reading)
        }
    }
}
