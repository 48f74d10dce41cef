extension MemoryStore {
    struct Ensemble {
        struct Member {
            var number: Int
            var session: SessionID
            var abandonment: Abandonment?
        }

        var order: Int64
        var record: EnsembleRecord
        /// In order of their numbers.
        var members: [Member]
    }

    public func create(
        _ ensemble: EnsembleRecord, members: [NewSession], idempotency key: IdempotencyRecord?
    ) throws(StoreError) {
        try admitWrite()
        try beginWrite()
        try check(key)
        guard !ensembles.contains(where: { $0.record.id == ensemble.id }) else { throw .exists }
        for member in members { try check(member) }
        remember(key)
        newestEnsemble += 1
        for member in members { _ = insert(member) }
        ensembles.append(
            Ensemble(
                order: newestEnsemble, record: ensemble,
                members: members.enumerated().map { number, member in
                    Ensemble.Member(number: number, session: member.record.id)
                }))
    }

    public func ensemble(_ id: EnsembleID) throws(StoreError) -> EnsembleRecord {
        try checkOpen()
        return ensembles[try index(of: id)].record
    }

    public func members(of id: EnsembleID) throws(StoreError) -> [StoredMember] {
        try checkOpen()
        return ensembles[try index(of: id)].members.map { member in
            let session = sessions[member.session]
            return StoredMember(
                number: member.number, session: member.session, abandonment: member.abandonment,
                summary: session.map { summary($0) },
                lastStep: session.flatMap { session in
                    session.steps.keys.max().flatMap { session.steps[$0] }
                })
        }
    }

    public func ensembles(
        pageSize: Int, after: PageToken?, tenant: String?
    ) throws(StoreError) -> Page<EnsembleRecord> {
        try checkOpen()
        let below = after?.below ?? .max
        let matching = ensembles.reversed().lazy.filter {
            $0.order < below && (tenant == nil || $0.record.tenant == tenant)
        }
        return Page(matching.map { ($0.order, $0.record) }, size: pageSize)
    }

    public func ensembleCount(of tenant: String) throws(StoreError) -> Int {
        try checkOpen()
        return ensembles.count { $0.record.tenant == tenant }
    }

    public func abandon(
        _ member: Int, of id: EnsembleID, _ abandonment: Abandonment
    ) throws(StoreError) {
        try beginWrite()
        let ensemble = try index(of: id)
        guard let place = ensembles[ensemble].members.firstIndex(where: { $0.number == member })
        else { return }
        ensembles[ensemble].members[place].abandonment = abandonment
    }

    public func finish(_ id: EnsembleID, _ outcome: EnsembleOutcome) throws(StoreError) {
        try beginWrite()
        ensembles[try index(of: id)].record.outcome = outcome
    }

    public func delete(_ id: EnsembleID) throws(StoreError) {
        try beginWrite()
        ensembles.remove(at: try index(of: id))
    }

    /// The session was deleted.
    func removeMember(_ session: SessionID) {
        for index in ensembles.indices {
            ensembles[index].members.removeAll { $0.session == session }
        }
        ensembles.removeAll { $0.members.isEmpty }
    }

    private func index(of id: EnsembleID) throws(StoreError) -> Int {
        guard let index = ensembles.firstIndex(where: { $0.record.id == id }) else {
            throw .missing
        }
        return index
    }
}
