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
    /// Takes bytes that are to be part of a batch ahead of it, if that saves time. They count for
    /// nothing until the batch is committed; one that isn't, or covers them, lets them go.
    func stage(_ octets: Octets) async -> Result<Octets, StoreError>

    /// The same with bytes that are still to come; nil if that saves nothing.
    func staging(byteCount: Int) -> (any OctetsStaging)?

    /// Writes a new session with its first entry and its first snapshot.
    /// Throws `.duplicateKey` if the idempotency key is taken, `.exists` if the identifier is.
    /// Returns the identifiers given to the snapshot's vectors.
    func create(
        _ record: SessionRecord, entry: JournalEntry, snapshot: SnapshotDraft,
        idempotency: IdempotencyRecord?
    ) async throws(StoreError) -> [VectorName: VectorID]

    /// Writes a batch. Throws `.missing` when the session isn't there, `.outOfOrder` when the
    /// first entry's sequence isn't the newest's plus one (so that two writers can't interleave).
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

    /// Messages of all sessions that are due at `date`, those that waited longest first.
    func dueDeliveries(at date: Date, limit: Int) async throws(StoreError) -> [DeliveryRecord]

    /// Replaces how a message fares. One that is gone with its session is none.
    func update(_ delivery: DeliveryRecord) async throws(StoreError)

    /// Forgets messages that came to their end before `date`.
    func expireDeliveries(before date: Date) async throws(StoreError)

    /// About how much room the session takes on the disk: the vectors that its snapshots name, in
    /// full also where forks name them too, the payloads of its journal, and an estimate of its
    /// rows. Throws `.missing`.
    func diskBytes(_ session: SessionID) async throws(StoreError) -> Int

    /// How many sessions there are.
    func sessionCount() async throws(StoreError) -> Int

    /// A durable write of a few bytes: proof that the committer is alive and the disk takes writes.
    func probe() async throws(StoreError)

    /// Finishes what was asked for and closes; every call after it throws `.closed`.
    func close() async
}

extension Store {
    public func stage(_ octets: Octets) async -> Result<Octets, StoreError> { .success(octets) }
    public func staging(byteCount: Int) -> (any OctetsStaging)? { nil }
}

/// Bytes on their way to where they are stored, while they arrive. Calls come one at a time, and
/// may wait for the disk. Let go of before they are taken, they leave nothing behind.
public protocol OctetsStaging: AnyObject, Sendable {
    /// The next bytes. A failure shows when they are taken.
    func append(_ piece: UnsafeRawBufferPointer)
    /// All have come: returns when they are durable, or have failed.
    func finish()
    /// Once, after that: what they are for a batch, as `stage` returns it.
    func take() -> Result<Octets, StoreError>
}
