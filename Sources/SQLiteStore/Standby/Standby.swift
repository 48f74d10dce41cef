import DiskLog
public import Foundation
public import SessionModel

/// A data directory that follows a primary's.
///
///     lbfgsd.sqlite, -wal, journal/, segments/   as in a store, with the primary's bytes
///     replication     the role: see `ReplicationRole`
///     position        the newest change that is here: see `StandbyPosition`
///     base/           a copy that is being made, until it takes the place of the files above
///
/// What is there is at each moment a store that opens, as of a commit of the primary; a copy that
/// is being made does not touch it. It is used by one process and one thread.
public final class Standby {
    public struct Progress: Equatable, Sendable {
        /// The newest change that is here; nil before the first copy is complete.
        public var change: Int?
        /// When it was made.
        public var changedAt: Date?
        public var term: Int
        /// Whether a new copy has to be made.
        public var needsBase: Bool
    }

    let directory: String
    private let lock: DiskFile
    public private(set) var role: ReplicationRole
    private var positionFile: DiskFile
    var position: StandbyPosition?
    private var files: ReplicaFiles?
    /// Called when a copy of the store is begun.
    public var onCopy: () -> Void = {}
    /// Called when a copy has damage of the primary's store in it, with the number of byte strings
    /// that don't match their checksums; 0 if only rows of the tables don't.
    public var onDamage: (Int) -> Void = { _ in }
    private var positionSyncedAt = ContinuousClock.now
    private static let positionSyncInterval = Duration.seconds(1)

    /// Opens the directory, creating it if need be.
    ///
    /// Throws `.inUse` if a process has it open, and `.exists` if it is no standby's and not empty,
    /// or if `primary` is nil and it is no standby's.
    /// - Parameter primary: The URL of the primary; nil for the one that it has followed.
    public init(_ directory: String, following primary: String?) throws(StoreError) {
        self.directory = directory
        do {
            if primary == nil, !FileManager.default.fileExists(atPath: directory) {
                throw StoreError.exists
            }
            try StoreDirectory.make(directory)
            if let owner = DiskFile.owner(of: directory), owner != geteuid() {
                throw StoreError.failed(
                    "it belongs to user \(owner), who couldn't read what user \(geteuid()) writes: "
                        + "run this as that user")
            }
            lock = try DiskFile(directory + "/lock", for: .creatingIfAbsent)
            guard try lock.lock() else {
                throw StoreError.inUse("\(directory) is in use by another process")
            }
            var role = try ReplicationRole.read(in: directory)
            if role.kind != .standby {
                let names = try FileManager.default.contentsOfDirectory(atPath: directory)
                guard primary != nil, names.allSatisfy({ $0 == "lock" }) else {
                    throw StoreError.exists
                }
                role.kind = .standby
                role.standby = String(UInt64.random(in: .min ... .max), radix: 36)
            }
            if let primary { role.peer = primary }
            try role.write(in: directory)
            self.role = role
            try StandbyBase.takePlace(in: directory)
            positionFile = try DiskFile(directory + "/position", for: .creatingIfAbsent)
            position = StandbyPosition(in: positionFile)
        } catch {
            throw StoreFailure(error, directory: directory).ofReading
        }
    }

    public var progress: Progress {
        Progress(
            change: position?.number,
            changedAt: position.map {
                Date(timeIntervalSince1970: Double($0.microseconds) / 1e6)
            }, term: role.term, needsBase: position == nil)
    }

    /// Whether there is a store that can be promoted.
    public var isUsable: Bool {
        FileManager.default.fileExists(atPath: directory + "/lbfgsd.sqlite")
    }

    public func close() {
        try? persistPosition()
        files = nil
        lock.unlock()
    }

    // MARK: Following

    /// Asks for changes once, waiting for some, and makes them durable here. Makes a copy of the
    /// store first if there is none that the primary's changes continue.
    /// - Parameter mayCopy: Whether a copy is made where one is needed; otherwise it is an error.
    /// - Returns: How many changes there were.
    @discardableResult
    public func follow(
        _ primary: some PrimaryConnection, waitSeconds: Double, mayCopy: Bool = true
    ) throws(StandbyError) -> Int {
        do {
            guard let position else {
                guard mayCopy else { throw PrimaryError.refused(.gone) }
                try makeBase(from: primary)
                return 0
            }
            let answer: [UInt8]
            do throws(PrimaryError) {
                answer = try primary.changes(
                    after: position.number, of: position.feed, standby: name, term: role.term,
                    isCopying: false, waitSeconds: waitSeconds)
            } catch .refused(.gone) where mayCopy {
                try makeBase(from: primary)
                return 0
            }
            return try apply(answer, from: primary)
        } catch let failure as ReplicaFiles.Failure {
            // What is here stays as it is, and a copy is made.
            position = nil
            files = nil
            throw .outOfStep(failure.description)
        } catch {
            throw StandbyError(error, directory: directory)
        }
    }

    /// The numbering that `progress.change` is of; nil before the first copy is complete.
    public var feed: String? { position?.feed }

    var name: String { role.standby ?? "standby" }

    private func apply(_ answer: [UInt8], from primary: some PrimaryConnection) throws -> Int {
        guard let changes = NumberedChange.decode(answer) else {
            throw PrimaryError.unreachable("the changes were damaged on the way")
        }
        guard !changes.isEmpty, var position else { return 0 }
        let files =
            try self.files ?? ReplicaFiles(in: directory, segmentFolders: [directory + "/segments"])
        self.files = files
        for change in changes {
            guard change.number == position.number + 1 else {
                throw ReplicaFiles.Failure.outOfStep("change \(position.number + 1) is missing")
            }
            try files.apply(change, from: primary) {
                // What comes now can't be undone by the changes before: they are done with.
                self.position = position
                try persistPosition()
            }
            position.number = change.number
            position.microseconds = change.microseconds
        }
        self.position = position
        try position.write(to: positionFile)
        let isLate = ContinuousClock.now - positionSyncedAt > Self.positionSyncInterval
        if !files.cleanups.isEmpty, isLate { try persistPosition() }
        return changes.count
    }

    private func persistPosition() throws {
        guard let position else { return }
        try position.write(to: positionFile)
        try positionFile.sync()
        positionSyncedAt = .now
        files?.cleanUp(through: position.number)
    }

    private func makeBase(from primary: some PrimaryConnection) throws {
        position = nil
        files = nil
        var base = try StandbyBase(in: directory, standby: name, term: role.term)
        base.willCopy = onCopy
        base.foundDamage = onDamage
        let term = try base.make(from: primary)
        try StandbyBase.takePlace(in: directory)
        positionFile = try DiskFile(directory + "/position", for: .writing)
        position = StandbyPosition(in: positionFile)
        if term != role.term {
            role.term = term
            try role.write(in: directory)
        }
        try StandbyBase.removeUnnamedSegments(in: directory)
    }

    // MARK: Promotion

    /// Makes the directory a store of its own, which `SQLiteStore` opens, with the next term.
    /// - Parameter isPrimaryFenced: Whether the primary knows of it. If not, the store remembers
    ///   whom to tell.
    public func promote(isPrimaryFenced: Bool) throws(StoreError) {
        do {
            files = nil
            var promoted = ReplicationRole()
            promoted.term = role.term + 1
            promoted.peer = isPrimaryFenced ? nil : role.peer
            try promoted.write(in: directory)
            role = promoted
            try? DiskFile.remove(directory + "/position")
            try? FileManager.default.removeItem(atPath: directory + "/base")
        } catch {
            throw StoreFailure(error, directory: directory).ofReading
        }
    }
}

public enum StandbyError: Error, Equatable, Sendable {
    case primary(PrimaryError)
    case store(StoreError)
    /// The primary's changes do not continue what is here. The next call begins a new copy.
    case outOfStep(String)

    init(_ error: any Error, directory: String) {
        if let error = error as? PrimaryError {
            self = .primary(error)
        } else if let failure = error as? ReplicaFiles.Failure {
            self = .outOfStep(failure.description)
        } else {
            self = .store(StoreFailure(error, directory: directory).ofReading)
        }
    }
}
