internal import SQLiteStore
internal import SessionModel
internal import Wire

/// What a primary and its standby send each other: documents, and changes whose checksums match.
/// What is read as a change is written as the same bytes.
@Sendable func fuzzReplication(_ input: [UInt8]) {
    _ = try? ReplicationStatus(json: input)
    _ = try? BaseRequest(json: input)
    _ = try? ChangesRequest(json: input, waitSecondsMax: 60)
    _ = try? FenceRequest(json: input)
    _ = ProblemSummary(json: input)
    _ = NumberedChange.decode(input)
    let change = ReplicatedChange(input[...])
    if let change {
        precondition(change.encoded == input, "\(change) is written in another way")
    }
    let numbered = NumberedChange.decode(
        NumberedChange.encode(input, number: 7, microseconds: -1))
    precondition(numbered?.first?.change == change, "\(String(describing: numbered))")
}
