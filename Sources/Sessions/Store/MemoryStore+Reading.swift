internal import LBFGS

// Reads.

extension MemoryStore {
    public func load(_ id: SessionID) throws(StoreError) -> StoredSession {
        try checkOpen()
        let session = try session(id)
        guard let snapshot = session.snapshots.last, let newest = session.entries.last else {
            preconditionFailure("\(id) was created without a snapshot")
        }
        return StoredSession(
            record: session.record, snapshot: stored(snapshot),
            tail: session.entries.filter { $0.sequence > snapshot.sequence }, newest: newest,
            lastStep: session.steps.keys.max().flatMap { session.steps[$0] },
            nextCheckpoint: session.nextCheckpoint)
    }

    public func load(
        _ id: SessionID, checkpoint number: CheckpointNumber
    ) throws(StoreError) -> StoredCheckpoint {
        try checkOpen()
        let session = try session(id)
        guard let record = session.checkpoints[number] else { throw .missing }
        guard let snapshot = snapshot(of: session, atOrBelow: record.sequence) else {
            preconditionFailure("checkpoint \(number) of \(id) has no snapshot below it")
        }
        return StoredCheckpoint(
            record: record, snapshot: stored(snapshot),
            tail: session.entries.filter {
                $0.sequence > snapshot.sequence && $0.sequence <= record.sequence
            })
    }

    public func list(
        pageSize: Int, after: PageToken?, matching filter: SessionFilter
    ) throws(StoreError) -> Page<SessionSummary> {
        try checkOpen()
        let below = after?.below ?? .max
        let matching = order.reversed().lazy.compactMap {
            (number, id) -> (number: Int64, item: SessionSummary)? in
            guard number < below, let session = self.sessions[id] else { return nil }
            let record = session.record
            if let tenant = filter.tenant, record.tenant != tenant { return nil }
            if let name = filter.name, record.name != name { return nil }
            if let label = filter.label, record.labels[label.key] != label.value { return nil }
            return (number, self.summary(session))
        }
        return Page(matching, size: pageSize)
    }

    public func summary(_ id: SessionID) throws(StoreError) -> SessionSummary {
        try checkOpen()
        return summary(try session(id))
    }

    public func scalars(
        of id: SessionID
    ) throws(StoreError) -> (sequence: SequenceNumber, bytes: [UInt8]) {
        try checkOpen()
        guard let snapshot = try session(id).snapshots.last else {
            preconditionFailure("\(id) was created without a snapshot")
        }
        return (snapshot.sequence, snapshot.scalars)
    }

    public func tenant(of id: SessionID) throws(StoreError) -> String {
        try checkOpen()
        return try session(id).record.tenant
    }

    public func toldEntry(
        _ id: SessionID, evaluation number: EvaluationNumber
    ) throws(StoreError) -> JournalEntry? {
        try checkOpen()
        var entry = try session(id).entries.last { $0.trace?.evaluation == number }
        entry?.payload = []
        return entry
    }

    public func step(_ id: SessionID, number: StepNumber) throws(StoreError) -> StepRecord? {
        try checkOpen()
        return try session(id).steps[number]
    }

    public func trace(
        _ id: SessionID, from first: EvaluationNumber, limit: Int
    ) throws(StoreError) -> [TracePoint] {
        try checkOpen()
        if let traceFault { throw traceFault }
        let points = try session(id).entries.lazy.compactMap(\.trace)
        return Array(points.filter { $0.evaluation >= first }.prefix(limit))
    }

    public func checkpoints(
        _ id: SessionID, pageSize: Int, after: PageToken?
    ) throws(StoreError) -> Page<CheckpointRecord> {
        try checkOpen()
        let below = after?.below ?? .max
        let records = try session(id).checkpoints.values
            .filter { $0.number < below }.sorted { $0.number > $1.number }
        return Page(records.map { (Int64($0.number), $0) }, size: pageSize)
    }

    public func hasKeptCheckpoint(_ id: SessionID) throws(StoreError) -> Bool {
        try checkOpen()
        return try session(id).checkpoints.values.contains(where: \.isKept)
    }

    public func checkpointCount(_ id: SessionID) throws(StoreError) -> Int {
        try checkOpen()
        return try session(id).checkpoints.count
    }

    public func idempotencyRecord(
        scope: String, key: String
    ) throws(StoreError) -> IdempotencyRecord? {
        try checkOpen()
        return idempotency[IdempotencyKey(scope: scope, key: key)]
    }

    public func diskBytes(_ id: SessionID) throws(StoreError) -> Int {
        try checkOpen()
        let session = try session(id)
        let named = Set(session.snapshots.flatMap(\.vectors.values))
        let vectorBytes = named.reduce(0) { $0 + (vectors[$1]?.octets.count ?? 0) }
        let scalarBytes = session.snapshots.reduce(0) { $0 + $1.scalars.count }
        let entryBytes = session.entries.reduce(0) { $0 + $1.payload.count + RowBytes.entry }
        return RowBytes.session + vectorBytes + scalarBytes + entryBytes
            + session.steps.count * RowBytes.step
            + session.checkpoints.count * RowBytes.checkpoint
    }

    public func sessionCount() throws(StoreError) -> Int {
        try checkOpen()
        return sessions.count
    }

    public func sessionCount(of tenant: String) throws(StoreError) -> Int {
        try sessions(of: tenant).count
    }

    public func sessions(of tenant: String) throws(StoreError) -> [SessionID] {
        try checkOpen()
        return sessions.values.lazy.map(\.record).filter { $0.tenant == tenant }.map(\.id)
    }

    public func secret() throws(StoreError) -> [UInt8] {
        try checkOpen()
        return randomSecret
    }

    func session(_ id: SessionID) throws(StoreError) -> Session {
        guard let session = sessions[id] else { throw .missing }
        return session
    }

    func snapshot(of session: Session, atOrBelow sequence: SequenceNumber) -> Snapshot? {
        session.snapshots.last { $0.sequence <= sequence }
    }

    func summary(_ session: Session) -> SessionSummary {
        guard let newest = session.entries.last else {
            preconditionFailure("\(session.record.id) was created without an entry")
        }
        let id = session.record.id
        let ensemble = ensembles.first { $0.members.contains { $0.session == id } }
        return SessionSummary(
            record: session.record, status: newest.status, progress: newest.progress,
            ensemble: ensemble?.record.id, updatedAt: newest.time, sequence: newest.sequence)
    }

    private func stored(_ snapshot: Snapshot) -> StoredSnapshot {
        StoredSnapshot(
            sequence: snapshot.sequence, formatVersion: snapshot.formatVersion,
            numericsVersion: snapshot.numericsVersion, scalars: snapshot.scalars,
            vectors: snapshot.vectors.mapValues { id in
                guard let vector = vectors[id] else {
                    preconditionFailure("vector \(id) was collected while a snapshot named it")
                }
                return .init(id: id, octets: vector.octets)
            })
    }
}

extension MemoryStore {
    package func inventory() -> StoreInventory {
        let all = sessions.values
        return StoreInventory(
            sessions: all.count, entries: all.reduce(0) { $0 + $1.entries.count },
            payloads: all.reduce(0) { $0 + $1.entries.count { !$0.payload.isEmpty } },
            snapshots: all.reduce(0) { $0 + $1.snapshots.count }, vectors: vectors.count)
    }
}
