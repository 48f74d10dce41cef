import GRDB
public import SessionModel

public import struct Foundation.Date

// The methods of `Store`, each of which runs one transaction.

extension SQLiteStore {
    public func create(
        _ record: SessionRecord, entry: JournalEntry, snapshot: SnapshotDraft,
        idempotency: IdempotencyRecord?
    ) async throws(StoreError) -> [VectorName: VectorID] {
        try await stager.staging(snapshot) { snapshot async throws(StoreError) in
            let prepared = PreparedSnapshot(snapshot)
            return try await write(bytes: prepared.bytes) { transaction in
                try transaction.create(
                    record, entry: entry, snapshot: prepared, idempotency: idempotency)
            }
        }
    }

    public func admitWrite() throws(StoreError) { try committer.admitWrite() }

    public func stage(_ octets: Octets) async -> Result<Octets, StoreError> {
        do throws(StoreError) {
            return .success(try await stager.stage(octets))
        } catch {
            return .failure(error)
        }
    }

    public func staging(byteCount: Int) -> (any OctetsStaging)? {
        stager.receive(byteCount: byteCount)
    }

    @discardableResult
    public func commit(_ batch: Batch, to session: SessionID) async throws(StoreError)
        -> [VectorName: VectorID]
    {
        if batch.isEntryAlone, let entry = batch.entries.first,
            entry.payload.count <= limits.loggedBytesMax
        {
            try await committer.append(LoggedEntry(session: session, entry: entry))
            return [:]
        }
        return try await stager.staging(batch) { batch async throws(StoreError) in
            let prepared = PreparedBatch(batch)
            return try await write(
                bytes: prepared.bytes,
                undo: prepared.isEntryAlone ? .validatesBeforeWriting : .savepoint,
                isRemoval: prepared.removedCheckpoint != nil, isAdmitted: true
            ) { transaction in
                try transaction.commit(prepared, to: session)
            }
        }
    }

    public func delete(_ session: SessionID) async throws(StoreError) {
        do throws(StoreError) {
            try await write(isRemoval: true) { transaction in try transaction.delete(session) }
        } catch {
            throw error.naming(session)
        }
    }

    public func load(_ session: SessionID) async throws(StoreError) -> StoredSession {
        let logged = memtable.entries(of: session)
        return try await read(of: session) { transaction in
            try transaction.load(session, logged: logged)
        }
    }

    public func load(
        _ session: SessionID, checkpoint: CheckpointNumber
    ) async throws(StoreError) -> StoredCheckpoint {
        try await read(of: session) { transaction in
            try transaction.load(session, checkpoint: checkpoint)
        }
    }

    public func list(
        pageSize: Int, after: PageToken?, matching filter: SessionFilter
    ) async throws(StoreError) -> Page<SessionSummary> {
        let logged = memtable.all
        return try await read { [memtable] transaction in
            try transaction.list(
                pageSize: pageSize, after: after, matching: filter, logged: logged,
                detachedIn: memtable)
        }
    }

    public func summary(_ session: SessionID) async throws(StoreError) -> SessionSummary {
        let logged = memtable.entries(of: session)
        return try await read(of: session) { transaction in
            try transaction.summary(transaction.session(session), logged: logged)
        }
    }

    public func scalars(
        of session: SessionID
    ) async throws(StoreError) -> (sequence: SequenceNumber, bytes: [UInt8]) {
        try await read(of: session) { transaction in
            let row = try transaction.rowID(session)
            guard let snapshot = try transaction.snapshot(row, atOrBelow: Int.max) else {
                throw StoreError.corrupt("session \(session) has no snapshot")
            }
            return (
                snapshot.sequence, try transaction.octets(of: snapshot.scalars).bytes()
            )
        }
    }

    public func tenant(of session: SessionID) async throws(StoreError) -> String {
        try await read { transaction in try transaction.tenant(of: session) }
    }

    public func toldEntry(
        _ session: SessionID, evaluation number: EvaluationNumber
    ) async throws(StoreError) -> JournalEntry? {
        try memtable.check(session)
        if var entry = memtable.entries(of: session).last(where: {
            $0.trace?.evaluation == number
        }) {
            entry.payload = []
            return entry
        }
        return try await read(of: session) { transaction in
            let entry = try transaction.evaluated(
                transaction.rowID(session), from: number, limit: 1
            ).first
            return entry?.trace?.evaluation == number ? entry : nil
        }
    }

    public func step(
        _ session: SessionID, number: StepNumber
    ) async throws(StoreError) -> StepRecord? {
        try await read(of: session) { transaction in
            try transaction.step(transaction.rowID(session), number: number)
        }
    }

    public func trace(
        _ session: SessionID, from first: EvaluationNumber, limit: Int
    ) async throws(StoreError) -> [TracePoint] {
        let logged = memtable.entries(of: session)
        return try await read(of: session) { transaction in
            let row = try transaction.rowID(session)
            try transaction.checkEntryCount(row)
            var points = try transaction.evaluated(row, from: first, limit: limit)
                .compactMap(\.trace)
            let next = points.last.map { $0.evaluation + 1 } ?? first
            points += logged.lazy.compactMap(\.trace).filter { $0.evaluation >= next }
                .prefix(limit - points.count)
            return points
        }
    }

    public func checkpoints(
        _ session: SessionID, pageSize: Int, after: PageToken?
    ) async throws(StoreError) -> Page<CheckpointRecord> {
        try await read(of: session) { transaction in
            try transaction.checkpoints(
                transaction.rowID(session), pageSize: pageSize, after: after)
        }
    }

    public func hasKeptCheckpoint(_ session: SessionID) async throws(StoreError) -> Bool {
        try await read { transaction in
            let session = try transaction.rowID(session)
            return try transaction.database.integer(.keptCheckpoint, [session]) != nil
        }
    }

    public func checkpointCount(_ session: SessionID) async throws(StoreError) -> Int {
        try await read { transaction in
            let session = try transaction.rowID(session)
            return Int(try transaction.database.integer(.countCheckpoints, [session]) ?? 0)
        }
    }

    public func idempotencyRecord(
        scope: String, key: String
    ) async throws(StoreError) -> IdempotencyRecord? {
        try await read { transaction in try transaction.idempotency(scope: scope, key: key) }
    }

    public func expireIdempotencyRecords(before date: Date) async throws(StoreError) {
        try await write(isRemoval: true) { transaction in
            try transaction.database.run(.expireIdempotency, [date.microseconds])
        }
    }

    public func deliveries(
        _ session: SessionID, hook: String, pageSize: Int, after: PageToken?
    ) async throws(StoreError) -> Page<DeliveryRecord> {
        try await read(of: session) { transaction in
            try transaction.deliveries(
                transaction.rowID(session), hook: hook, pageSize: pageSize, after: after)
        }
    }

    public func delivery(
        _ session: SessionID, id: DeliveryID
    ) async throws(StoreError) -> DeliveryRecord {
        try await read { transaction in
            guard let record = try transaction.delivery(id), record.session == session else {
                throw StoreError.missing
            }
            return record
        }
    }

    public func dueDeliveries(
        at date: Date, limit: Int, skipping skipped: Int
    ) async throws(StoreError) -> [DeliveryRecord] {
        try await read { transaction in
            let rows = try transaction.database.rows(
                .dueDeliveries, [date.microseconds, limit, skipped])
            return try rows.map { try DeliveryRow($0).record }
        }
    }

    public func pendingDeliveryCount() async throws(StoreError) -> Int {
        try await read { transaction in
            Int(try transaction.database.integer(.pendingDeliveryCount, []) ?? 0)
        }
    }

    public func pendingDeliveryCount(of session: SessionID) async throws(StoreError) -> Int {
        try await read { transaction in
            let session = try transaction.rowID(session)
            return Int(
                try transaction.database.integer(.pendingDeliveryCountOfSession, [session]) ?? 0)
        }
    }

    public func update(_ delivery: DeliveryRecord) async throws(StoreError) {
        try await write(bytes: delivery.body.count) { transaction in
            guard try transaction.reading.delivery(delivery.id) != nil else { return }
            let session = try transaction.reading.rowID(delivery.session)
            let row = delivery.row(session: session)
            try transaction.database.run(
                .updateDelivery, binding: row.bound + [.text(delivery.id)])
        }
    }

    public func expireDeliveries(before date: Date) async throws(StoreError) {
        try await write(isRemoval: true) { transaction in
            try transaction.database.run(.expireDeliveries, [date.microseconds])
        }
    }

    public func diskBytes(_ session: SessionID) async throws(StoreError) -> Int {
        let logged = memtable.entries(of: session)
        return try await read(of: session) { transaction in
            try transaction.diskBytes(transaction.rowID(session), logged: logged)
        }
    }

    public func sessionCount() async throws(StoreError) -> Int {
        try await read { transaction in
            try transaction.database.storeRow().sessions
        }
    }

    public func sessionCount(of tenant: String) async throws(StoreError) -> Int {
        try await read { transaction in
            Int(try transaction.database.integer(.sessionCountOfTenant, [tenant]) ?? 0)
        }
    }

    public func sessions(of tenant: String) async throws(StoreError) -> [SessionID] {
        try await read { transaction in
            try transaction.database.rows(.sessionsOfTenant, [tenant]).compactMap { row in
                if case .text(let text) = row[0] { SessionID(text) } else { nil }
            }
        }
    }

    public func secret() async throws(StoreError) -> [UInt8] {
        try await read { transaction in
            try transaction.database.storeRow().pageKey
        }
    }

    public func probe() async throws(StoreError) {
        try await write { transaction in
            try transaction.database.updateStoreRow { $0.probes += 1 }
        }
    }
}
