public import struct Foundation.Date

/// Everything that sessions ask of durable storage.
///
/// Contract, held by every implementation (the store contract suite runs on each):
/// - `create`, `commit` and `delete` are atomic: all of a batch or none of it. When they return,
///   the batch survives kill -9 and power loss. When they throw, nothing of it is visible, and
///   other batches that shared its transaction are unaffected.
/// - Writes take effect in the order in which they are called for one session; the caller awaits
///   each before the next on the same session. Different sessions may be written at once, and then
///   share a sync.
/// - A snapshot's vectors are immutable. A vector that a draft names as `.stored` must be named by
///   a snapshot that is still there. A vector that no snapshot names is collected, and so is a
///   snapshot that is neither the newest of its session nor below a checkpoint, and the payload
///   of a journal entry that neither the newest state nor a checkpoint needs for replay. Of such
///   an entry its trace stays, if it has one: with a new snapshot a trace that is too long is
///   thinned out, by `TraceThinning`, and the oldest steps go.
/// - Of a session's idempotency keys the newest `idempotencyKeysMax` are kept, up to 64 more;
///   of its messages that were delivered or given up the newest `deliveriesMax` likewise.
/// - Where too much waits, writes and reads throw `.overloaded`, and nothing changes.
/// - Reads see all that was committed before they were called.
public protocol Store: Sendable {
    /// Writes bytes before the batch that will contain them, if that saves time. They have no
    /// effect until that batch is committed. A batch that fails, or does not contain them, discards
    /// them.
    func stage(_ octets: Octets) async -> Result<Octets, StoreError>

    /// The same for bytes that have yet to arrive; nil if that saves no time.
    func staging(byteCount: Int) -> (any OctetsStaging)?

    /// Throws `.overloaded` when so many writes wait that no more should begin. The other methods
    /// that write check it too, apart from `commit`: its caller has changed its own state by then,
    /// and asks before that, so that a refusal changes nothing.
    func admitWrite() throws(StoreError)

    /// Writes a new session with its first entry and its first snapshot.
    /// Throws `.duplicateKey` if the idempotency key is taken, `.exists` if the identifier is.
    /// Returns the identifiers given to the snapshot's vectors.
    func create(
        _ record: SessionRecord, entry: JournalEntry, snapshot: SnapshotDraft,
        idempotency: IdempotencyRecord?
    ) async throws(StoreError) -> [VectorName: VectorID]

    /// Writes a batch. Throws `.missing` when there is no such session, and `.outOfOrder` when the
    /// first entry's sequence is not the newest's plus one, so that two writers cannot interleave.
    /// Returns the identifiers of the vectors named by the batch's snapshot, if it has one.
    @discardableResult
    func commit(_ batch: Batch, to session: SessionID) async throws(StoreError)
        -> [VectorName: VectorID]

    /// Removes the session and all that only it names, as far as that is not damaged. It is no
    /// member of its ensemble any more, which is removed with its last member. Throws `.missing`.
    func delete(_ session: SessionID) async throws(StoreError)

    /// The newest snapshot and the entries after it. Throws `.missing`.
    func load(_ session: SessionID) async throws(StoreError) -> StoredSession

    /// The snapshot below a checkpoint and the entries from there up to and including the
    /// checkpoint's. Throws `.missing`.
    func load(_ session: SessionID, checkpoint: CheckpointNumber) async throws(StoreError)
        -> StoredCheckpoint

    /// Newest first. `after` is the `next` of the page before. A page may have fewer items than
    /// asked for, though another follows. Damaged sessions are not among the items, and do not keep
    /// others from being so.
    func list(
        pageSize: Int, after: PageToken?, matching filter: SessionFilter
    ) async throws(StoreError) -> Page<SessionSummary>

    func summary(_ session: SessionID) async throws(StoreError) -> SessionSummary

    /// The scalars of the newest snapshot, and the entry that they are of. Throws `.missing`.
    func scalars(
        of session: SessionID
    ) async throws(StoreError) -> (sequence: SequenceNumber, bytes: [UInt8])

    /// Whose the session is; also of a damaged session, if that can be proved. Throws `.missing`.
    func tenant(of session: SessionID) async throws(StoreError) -> String

    /// The entry that told evaluation `number`, without its payload; nil when there is none, or
    /// none any more.
    func toldEntry(_ session: SessionID, evaluation number: EvaluationNumber)
        async throws(StoreError) -> JournalEntry?

    /// nil when the step hasn't ended or never was. Throws `.missing` for an unknown session.
    func step(_ session: SessionID, number: StepNumber) async throws(StoreError) -> StepRecord?

    /// In order of evaluation, from `first` on, at most `limit`. Throws `.missing`.
    func trace(_ session: SessionID, from first: EvaluationNumber, limit: Int)
        async throws(StoreError) -> [TracePoint]

    /// Newest first. Throws `.missing` for an unknown session.
    func checkpoints(_ session: SessionID, pageSize: Int, after: PageToken?)
        async throws(StoreError) -> Page<CheckpointRecord>

    /// Whether a checkpoint of the session is kept. Throws `.missing`.
    func hasKeptCheckpoint(_ session: SessionID) async throws(StoreError) -> Bool

    /// How many checkpoints the session has. Throws `.missing`.
    func checkpointCount(_ session: SessionID) async throws(StoreError) -> Int

    /// nil when the key hasn't been used in this scope.
    func idempotencyRecord(scope: String, key: String) async throws(StoreError)
        -> IdempotencyRecord?

    /// Forgets idempotency keys made before `date`.
    func expireIdempotencyRecords(before date: Date) async throws(StoreError)

    /// Messages of one hook, newest first. Throws `.missing` for an unknown session.
    func deliveries(_ session: SessionID, hook: String, pageSize: Int, after: PageToken?)
        async throws(StoreError) -> Page<DeliveryRecord>

    /// Throws `.missing`.
    func delivery(_ session: SessionID, id: DeliveryID) async throws(StoreError) -> DeliveryRecord

    /// Messages of all sessions that are due at `date`, the longest overdue first, after the first
    /// `skipped` of them.
    func dueDeliveries(
        at date: Date, limit: Int, skipping skipped: Int
    ) async throws(StoreError) -> [DeliveryRecord]

    /// How many messages are still to be delivered.
    func pendingDeliveryCount() async throws(StoreError) -> Int

    /// The same of one session. Throws `.missing`.
    func pendingDeliveryCount(of session: SessionID) async throws(StoreError) -> Int

    /// Replaces a message's state. Does nothing if the message was removed with its session.
    func update(_ delivery: DeliveryRecord) async throws(StoreError)

    /// Forgets messages that were delivered or given up before `date`.
    func expireDeliveries(before date: Date) async throws(StoreError)

    /// An estimate of the bytes that the session uses on disk: the vectors that its snapshots name,
    /// counted in full where forks share them, the payloads of its journal, and its rows. Throws
    /// `.missing`.
    func diskBytes(_ session: SessionID) async throws(StoreError) -> Int

    /// Space that is left for the store; nil if it has no disk or can't tell. Returns at once.
    func availableBytes() -> Int?

    /// How many sessions there are.
    func sessionCount() async throws(StoreError) -> Int

    /// How many sessions a tenant has. O(sessions of the tenant).
    func sessionCount(of tenant: String) async throws(StoreError) -> Int

    /// The sessions of a tenant, in no order.
    func sessions(of tenant: String) async throws(StoreError) -> [SessionID]

    /// Writes a new ensemble with its members, which are numbered from 0 in their order: all of it
    /// or nothing. Throws what `create` of a session does.
    func create(
        _ ensemble: EnsembleRecord, members: [NewSession], idempotency: IdempotencyRecord?
    ) async throws(StoreError)

    /// Throws `.missing`.
    func ensemble(_ id: EnsembleID) async throws(StoreError) -> EnsembleRecord

    /// The members that have not been deleted, in order of their numbers. O(members). Throws
    /// `.missing`.
    func members(of ensemble: EnsembleID) async throws(StoreError) -> [StoredMember]

    /// Newest first. `after` is the `next` of the page before; a tenant's own, or all.
    func ensembles(
        pageSize: Int, after: PageToken?, tenant: String?
    ) async throws(StoreError) -> Page<EnsembleRecord>

    /// How many ensembles a tenant has. O(ensembles of the tenant).
    func ensembleCount(of tenant: String) async throws(StoreError) -> Int

    /// Marks a member as abandoned. Does nothing if it was deleted. Throws `.missing` without the
    /// ensemble.
    func abandon(
        _ member: Int, of ensemble: EnsembleID, _ abandonment: Abandonment
    ) async throws(StoreError)

    /// Marks an ensemble as finished. Throws `.missing`.
    func finish(_ ensemble: EnsembleID, _ outcome: EnsembleOutcome) async throws(StoreError)

    /// Removes an ensemble. The sessions of members that it still has stay. Throws `.missing`.
    func delete(_ ensemble: EnsembleID) async throws(StoreError)

    /// Bytes that are random, never change, and are nobody's but the store's: the key of what
    /// clients carry for it.
    func secret() async throws(StoreError) -> [UInt8]

    /// A durable write of a few bytes. It shows that the committer runs and the disk is writable.
    func probe() async throws(StoreError)

    /// Completes the calls under way and closes. Every later call throws `.closed`.
    func close() async
}

extension Store {
    public func stage(_ octets: Octets) async -> Result<Octets, StoreError> { .success(octets) }
    public func staging(byteCount: Int) -> (any OctetsStaging)? { nil }
    public nonisolated func availableBytes() -> Int? { nil }
    public func admitWrite() throws(StoreError) {}

    /// Sessions of all tenants.
    public func list(
        pageSize: Int, after: PageToken?, label: (key: String, value: String)?
    ) async throws(StoreError) -> Page<SessionSummary> {
        try await list(pageSize: pageSize, after: after, matching: SessionFilter(label: label))
    }
}

/// Bytes that are stored while they arrive. Calls must not overlap, and may wait for the disk.
/// Bytes that are never taken are discarded when the object is released.
public protocol OctetsStaging: AnyObject, Sendable {
    /// Stores the next bytes. A failure is reported by `take`.
    func append(_ piece: UnsafeRawBufferPointer)
    /// Ends the bytes. Returns when they are durable, or have failed.
    func finish()
    /// What a batch names in place of the bytes, as `stage` returns it. To be called once, after
    /// `finish`.
    func take() -> Result<Octets, StoreError>
}
