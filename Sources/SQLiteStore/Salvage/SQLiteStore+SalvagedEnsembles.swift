import GRDB
public import SessionModel

extension SQLiteStore {
    /// Writes the ensembles of sessions that came back, with those as their members.
    /// - Parameter sessions: The rows of these sessions.
    /// - Returns: What is lost.
    public func adoptEnsembles(
        from damaged: InspectedStore, of sessions: Set<Int64>
    ) async throws(StoreError) -> [String] {
        let (ensembles, members, lost) = try damaged.read {
            tables -> ([Int64: EnsembleRow], [MemberRow], [String]) in
            var ensembles: [Int64: EnsembleRow] = [:]
            var lost: [String] = []
            for row in try tables.database.rows(sql: EnsembleColumn.table.select("")) {
                guard let ensemble = try? EnsembleRow(row) else {
                    lost.append("an ensemble whose row is damaged; its members are sessions alone")
                    continue
                }
                ensembles[ensemble.id] = ensemble
            }
            var members: [MemberRow] = []
            for row in try tables.database.rows(sql: MemberColumn.table.select("")) {
                guard let member = try? MemberRow(row) else {
                    lost.append("that a session is a member of an ensemble: the row is damaged")
                    continue
                }
                if ensembles[member.ensemble] != nil, sessions.contains(member.session) {
                    members.append(member)
                }
            }
            return (ensembles, members, lost)
        }
        let present = Set(members.map(\.ensemble))
        try await write { transaction in
            for id in present.sorted() {
                guard let ensemble = ensembles[id] else { continue }
                try transaction.database.run(
                    .insertEnsemble, binding: try ensemble.columns().bound)
            }
            for member in members {
                try transaction.database.run(.insertMember, binding: member.row.bound)
            }
        }
        return lost
    }
}
