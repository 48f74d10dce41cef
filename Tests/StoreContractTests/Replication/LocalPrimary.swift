import Dispatch
import Foundation
import SQLiteStore
import Sessions
import Synchronization
import TestKit

/// Asks a store of this process as a standby does over HTTP.
final class LocalPrimary: PrimaryConnection, @unchecked Sendable {
    let store: SQLiteStore
    /// How many parts of files were sent, and how many copies were begun.
    private(set) var partsSent = 0
    private(set) var copies = 0
    /// Called before each request for a part of a file: the store may change meanwhile.
    var beforePart: (() -> Void)?

    init(_ store: SQLiteStore) { self.store = store }

    private func wait<Value: Sendable>(
        _ operation: @escaping @Sendable (SQLiteStore) async throws(ReplicationError) -> Value
    ) throws(PrimaryError) -> Value {
        let outcome = Outcome<Value>()
        let done = DispatchSemaphore(value: 0)
        Task.detached { [store] in
            do throws(ReplicationError) {
                let value = try await operation(store)
                outcome.result.withLock { $0 = .success(value) }
            } catch {
                outcome.result.withLock { $0 = .failure(error) }
            }
            done.signal()
        }
        done.wait()
        switch outcome.result.withLock({ $0 }) {
        case .success(let value): return value
        case .failure(let error): throw .refused(error)
        case nil: preconditionFailure("it has ended")
        }
    }

    func beginBase(standby: String, term: Int) throws(PrimaryError) -> ReplicationStatus {
        copies += 1
        return try wait { store throws(ReplicationError) in
            try await store.beginBase(standby: standby, term: term)
        }
    }

    func changes(
        after number: Int, of feed: String, standby: String, term: Int, isCopying: Bool,
        waitSeconds: Double
    ) throws(PrimaryError) -> [UInt8] {
        try wait { store throws(ReplicationError) in
            try await store.changes(
                after: number, of: feed, standby: standby, term: term, isCopying: isCopying,
                waitSeconds: waitSeconds)
        }
    }

    func filePart(
        _ name: String, from offset: Int, count: Int, known: [UInt8]?
    ) throws(PrimaryError) -> [UInt8]? {
        beforePart?()
        let bytes = try wait { store throws(ReplicationError) in
            try await store.filePart(name, from: offset, count: count)
        }
        if bytes == known { return nil }
        partsSent += 1
        return bytes
    }

    func status() throws(PrimaryError) -> ReplicationStatus { store.replicationStatus }
}

private final class Outcome<Value: Sendable>: Sendable {
    let result = Mutex<Result<Value, ReplicationError>?>(nil)
}

/// A standby's directory, used by one thread at a time.
final class Follower: @unchecked Sendable {
    let directory: String
    private var standby: Standby?

    init(_ directory: String) { self.directory = directory }

    /// Follows until there is nothing more.
    func catchUp(_ primary: LocalPrimary) async throws {
        try await onThread {
            let standby = try self.standby ?? Standby(directory, following: "http://primary")
            self.standby = standby
            var isDone = false
            while !isDone {
                let needsBase = standby.progress.needsBase
                let copies = primary.copies
                let count = try standby.follow(primary, waitSeconds: 0)
                isDone = count == 0 && !needsBase && primary.copies == copies
            }
        }
    }

    var progress: Standby.Progress? { standby?.progress }

    /// As a process that is killed.
    func forget() { standby = nil }

    /// A store of what is in the directory now, in another place.
    func promoted(in place: String) async throws -> SQLiteStore {
        try FileManager.default.copyItem(atPath: directory, toPath: place)
        let copy = try Standby(place, following: nil)
        try copy.promote(isPrimaryFenced: true)
        copy.close()
        return try await SQLiteStore(directory: place, limits: StoreKind.segments.limits)
    }
}

extension ReplicationConfiguration {
    static func make(
        _ mode: ReplicationMode = .asynchronous, bufferBytesMax: Int = 64 << 20,
        timeoutSeconds: Double = 10, continuesAlone: Bool = false
    ) -> ReplicationConfiguration {
        var configuration = ReplicationConfiguration()
        configuration.mode = mode
        configuration.bufferBytesMax = bufferBytesMax
        configuration.timeoutSeconds = timeoutSeconds
        configuration.continuesAlone = continuesAlone
        return configuration
    }
}
