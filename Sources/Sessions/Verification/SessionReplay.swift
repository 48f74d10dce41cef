public import SessionModel

/// Replays what a store has of a session, for a verification of the store and for a salvage.
public enum SessionReplay {
    /// Replays a stretch from its snapshot to its newest entry, through the engine that will do so
    /// when the session is used. Compares the state after each entry with what was recorded when it
    /// was written, the trial points by their digests, and the state at each checkpoint. Ends at
    /// the first entry that does not match.
    public static func replay(
        _ stretch: StoredStretch, of record: SessionRecord, background: BackgroundWork = .shared
    ) -> ReplayedStretch {
        var replayed = ReplayedStretch()
        var state: SessionState
        let sequence = stretch.snapshot.sequence
        do {
            state = try StateCodec.state(
                from: stretch.snapshot, dtype: record.dtype, background)
        } catch {
            replayed.differences = ["snapshot \(sequence): \(error.text)"]
            return replayed
        }
        guard state.scalars.sequence == sequence else {
            replayed.differences = [
                "snapshot \(sequence) is that of entry \(state.scalars.sequence)"
            ]
            return replayed
        }
        if state.engine.numerics != stretch.snapshot.numericsVersion {
            replayed.differences.append(
                "snapshot \(sequence) has another version of the arithmetic")
        }
        var checkpoints = stretch.checkpoints[...]
        func compare() {
            replayed.reached = (state.scalars.sequence, state.status)
            while let checkpoint = checkpoints.first,
                checkpoint.sequence <= state.scalars.sequence
            {
                checkpoints.removeFirst()
                if checkpoint.status == state.status {
                    replayed.checkpoints.append(checkpoint.number)
                } else {
                    replayed.differences.append(
                        "checkpoint \(checkpoint.number) stands at \(checkpoint.status), and the "
                            + "journal at \(state.status)")
                }
            }
        }
        compare()
        for entry in stretch.tail {
            do {
                try state.replay(entry, background)
            } catch {
                replayed.differences.append("journal entry \(error.sequence) \(error.reason)")
                return replayed
            }
            compare()
        }
        for checkpoint in checkpoints {
            replayed.differences.append(
                "checkpoint \(checkpoint.number) is behind the journal's end")
        }
        return replayed
    }
}
