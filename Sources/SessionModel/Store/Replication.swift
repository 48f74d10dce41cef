// What a standby asks of the store that it follows. docs/design/replication.md has the whole.

/// When the daemon tells a client that a write is done.
public enum ReplicationMode: String, CaseIterable, Sendable {
    /// There is no standby.
    case off
    /// When it is on the primary's disk. The standby gets it a moment later.
    case asynchronous
    /// When it is on the standby's disk too.
    case synchronous
}

/// How replication is done.
public struct ReplicationConfiguration: Sendable {
    public var mode = ReplicationMode.off
    /// Changes that are kept in memory for the standby. A standby that is further behind begins
    /// anew.
    public var bufferBytesMax = 64 << 20
    /// Bytes of segments that are kept on the disk for the standby although nothing needs them.
    public var segmentBytesMax = 4 << 30
    /// A standby that is silent for so long is missing.
    public var timeoutSeconds = 10.0
    /// Whether a synchronous primary goes on without a standby, and so without its promise.
    public var continuesAlone = false
    /// Told of what an operator should know.
    public var onEvent: @Sendable (ReplicationEvent) -> Void = { _ in }

    public init() {}
}

public enum ReplicationEvent: Equatable, Sendable {
    /// A standby begins to copy the store.
    case standbyJoined(String)
    /// The standby has all that was acknowledged.
    case standbyInSync(String)
    case standbyLost(String, reason: String)
    /// Another store was promoted.
    case fenced(term: Int)
}

/// What replication is doing.
public struct ReplicationStatus: Equatable, Sendable {
    public struct Standby: Equatable, Sendable {
        public var id: String
        /// The newest change that is on its disk.
        public var acknowledged: Int
        /// Whether it has, or had a moment ago, all changes.
        public var isInSync: Bool
        /// The age of the oldest change that it lacks; 0 if there is none.
        public var secondsBehind: Double
        public var bytesBehind: Int
        /// How long it has been silent.
        public var secondsSilent: Double

        public init(
            id: String, acknowledged: Int, isInSync: Bool, secondsBehind: Double, bytesBehind: Int,
            secondsSilent: Double
        ) {
            self.id = id
            self.acknowledged = acknowledged
            self.isInSync = isInSync
            self.secondsBehind = secondsBehind
            self.bytesBehind = bytesBehind
            self.secondsSilent = secondsSilent
        }
    }

    public var mode: ReplicationMode
    /// Identifies the numbering of changes, which begins anew with each process.
    public var feed: String
    /// Rises with each promotion.
    public var term: Int
    public var isFenced: Bool
    /// The number of the newest change.
    public var change: Int
    public var standby: Standby?

    public init(
        mode: ReplicationMode, feed: String, term: Int, isFenced: Bool, change: Int,
        standby: Standby?
    ) {
        self.mode = mode
        self.feed = feed
        self.term = term
        self.isFenced = isFenced
        self.change = change
        self.standby = standby
    }
}

public enum ReplicationError: Error, Equatable, Sendable {
    /// The setting replication is off.
    case off
    /// Another store was promoted with this term, so this one takes no writes.
    case fenced(term: Int)
    /// No standby has all changes, and the setting is that each write is on one.
    case standbyMissing(seconds: Int)
    /// The write is on this disk, and the standby has not acknowledged it in time.
    case unacknowledged(seconds: Int)
    /// The changes that were asked for are not kept: the standby has to begin anew.
    case gone
    /// There is a standby, and it is another one.
    case otherStandby(String)
    /// There is no such file any more.
    case fileMissing(String)
    case failed(String)
}

/// The primary's side of replication.
public protocol ReplicationSource: Sendable {
    var replicationStatus: ReplicationStatus { get }

    /// Why no write is taken; nil if writes are.
    var writeRefusal: ReplicationError? { get }

    /// Returns when all changes until now are on the standby's disk, or at once if that is not
    /// waited for.
    func confirm() async throws(ReplicationError)

    /// Begins to keep changes for a standby that has none, or too old ones. In the answer,
    /// `standby.acknowledged` is the number of the change after which it goes on.
    func beginBase(standby: String, term: Int) async throws(ReplicationError) -> ReplicationStatus

    /// The changes after `number`, which acknowledges all up to it. Waits for one if there is none.
    /// - Parameter isCopying: Whether the copy that they belong to is still being made, so that
    ///   the standby can't be promoted with them yet.
    func changes(
        after number: Int, of feed: String, standby: String, term: Int, isCopying: Bool,
        waitSeconds: Double
    ) async throws(ReplicationError) -> [UInt8]

    /// A part of a file of the store; fewer bytes where it ends.
    func filePart(_ name: String, from offset: Int, count: Int)
        async throws(ReplicationError) -> [UInt8]

    /// Takes no more writes, even after a restart: a store with this term was promoted, or is about
    /// to be. Returns when no write is under way. Without effect if the own term is not lower.
    func fence(term: Int) async throws(ReplicationError)
}
