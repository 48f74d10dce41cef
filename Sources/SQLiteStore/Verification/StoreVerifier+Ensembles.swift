import GRDB
import SessionModel

// Ensembles and their members.

extension StoreVerifier {
    mutating func checkEnsembles() throws {
        var present: Set<Int64> = []
        try forEachRow(EnsembleColumn.self) { _, rowID, row in
            // Also of a damaged one, whose members are not to be reported besides.
            present.insert(rowID)
            let ensemble = try EnsembleRow(row)
            guard ensemble.id == rowID else {
                throw StoreError.corrupt("a row of ensemble has another rowid than \(ensemble.id)")
            }
        }
        var withMembers: Set<Int64> = []
        try forEachRowWithoutID(MemberColumn.self) { verifier, row in
            let member = try MemberRow(row)
            withMembers.insert(member.ensemble)
            let session = try verifier.owner(member.session, in: "ensemble_member")
            if !present.contains(member.ensemble) {
                verifier.found(session, what: "the session's ensemble is not there")
            }
        }
        for id in present.subtracting(withMembers).sorted() {
            found(what: "ensemble \(id) has no member")
        }
    }
}
