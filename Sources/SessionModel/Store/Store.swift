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
/// - Reads see all that was committed before they were called.
public protocol Store: Sendable {
    /// Writes bytes before the batch that will contain them, if that saves time. They have no
    /// effect until that batch is committed. A batch that fails, or does not contain them, discards
    /// them.
    func stage(_ octets: Octets) async -> Result<Octets, StoreError>

    /// The same for bytes that have yet to arrive; nil if that saves no time.
    func staging(byteCount: Int) -> (any OctetsStaging)?

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

    /// Removes the session and all that only it names. Throws `.missing`.
    func delete(_ session: SessionID) async throws(StoreError)

    /// The newest snapshot and the entries after it. Throws `.missing`.
    func load(_ session: SessionID) async throws(StoreError) -> StoredSession

    /// The snapshot below a checkpoint and the entries from there up to and including the
    /// checkpoint's. Throws `.missing`.
    func load(_ session: SessionID, checkpoint: CheckpointNumber) async throws(StoreError)
        -> StoredCheckpoint

    /// Newest first. `after` is the `next` of the page before; `label` keeps sessions that carry
    /// this label with this value.
    func list(pageSize: Int, after: PageToken?, label: (key: String, value: String)?)
        async throws(StoreError) -> Page<SessionSummary>

    func summary(_ session: SessionID) async throws(StoreError) -> SessionSummary

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

    /// Messages of all sessions that are due at `date`, the longest overdue first.
    func dueDeliveries(at date: Date, limit: Int) async throws(StoreError) -> [DeliveryRecord]

    /// Replaces a message's state. Does nothing if the message was removed with its session.
    func update(_ delivery: DeliveryRecord) async throws(StoreError)

    /// Forgets messages that were delivered or given up before `date`.
    func expireDeliveries(before date: Date) async throws(StoreError)

    /// An estimate of the bytes that the session uses on disk: the vectors that its snapshots name,
    /// counted in full where forks share them, the payloads of its journal, and its rows. Throws
    /// `.missing`.
    func diskBytes(_ session: SessionID) async throws(StoreError) -> Int

    /// How many sessions there are.
    func sessionCount() async throws(StoreError) -> Int

    /// A durable write of a few bytes. It shows that the committer runs and the disk is writable.
    func probe() async throws(StoreError)

    /// Completes the calls under way and closes. Every later call throws `.closed`.
    func close() async
}

extension Store {
    public func stage(_ octets: Octets) async -> Result<Octets, StoreError> { .success(octets) }
    public func staging(byteCount: Int) -> (any OctetsStaging)? { nil }
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
