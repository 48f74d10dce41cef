internal import LBFGS
internal import Synchronization

// A session is replayed by applying the stored entries to the snapshot below them.

/// A journal whose replay differs from what was recorded.
struct ReplayError: Error, Equatable {
    var sequence: SequenceNumber
    var reason: String
}

extension SessionState {
    /// Applies a stored entry, and checks that the result is the one recorded when it was written.
    mutating func replay(
        _ stored: JournalEntry, _ background: BackgroundWork
    ) throws(ReplayError) {
        func fail(_ reason: String) -> ReplayError {
            ReplayError(sequence: stored.sequence, reason: reason)
        }
        guard stored.sequence == scalars.sequence + 1 else {
            throw fail("follows entry \(scalars.sequence)")
        }
        let change: Change
        var point: PointDigest?
        switch stored.kind {
        case .stepBegun:
            guard phase == .idle else { throw fail("begins a step while one runs") }
            guard let request = StateCodec.decodeStep(try payload(of: stored)) else {
                throw fail("has a step's options that can't be read")
            }
            do throws(UnreadableSnapshot) {
                try request.shards?.validateAsShardCount("shards")
            } catch {
                throw fail(error.text)
            }
            change = beginStep(request, at: stored.time)
        case .told, .failed:
            guard engine.isStepping else { throw fail("answers, but nothing was asked") }
            // The payload's checksums have been looked at.
            let result = try result(of: stored)
            if let number = pendingEvaluation, result.payload.count >= BackgroundWork.bytesMin {
                // Computed beside the step, and compared when that is over.
                point = PointDigest(
                    of: engine.trialVector, evaluation: number, background: background)
            }
            change = tell(
                result, digest: stored.resultDigest,
                pointDigest: point == nil ? nil : stored.pointDigest, at: stored.time)
        case .stopped:
            guard engine.isStepping else { throw fail("stops, but no step runs") }
            change = stop(at: stored.time)
        case .optionsChanged:
            guard let options = StateCodec.decodeOptions(try payload(of: stored)) else {
                throw fail("has options that can't be read")
            }
            do throws(OptionError) {
                try options.validate()
            } catch {
                throw fail("has the option \(error.option), which \(error.reason)")
            }
            change = self.change(options, at: stored.time)
        case .shardTold:
            guard engine.isStepping,
                let (shard, result) = StateCodec.decodeShard(try payload(of: stored)),
                shard < shards.count ?? 1, shards[shard] == nil,
                result.count == nil || result.count == layout.count
            else { throw fail("tells a shard that can't be") }
            change = deliver(result, asShard: shard, at: stored.time)
        case .shardsDropped:
            guard engine.isStepping else { throw fail("drops shards, but nothing was asked") }
            change = dropShards(setToNone: try payload(of: stored).first == 1, at: stored.time)
        case .leased:
            guard let lease = StateCodec.decodeLease(try payload(of: stored)), lease.shard >= 0
            else {
                throw fail("has a lease that can't be read")
            }
            change = self.lease(lease, at: stored.time)
        case .created, .parametersReplaced, .stateDictLoaded, .restored, .groupAdded,
            .groupChanged, .hooksChanged, .hookCalled, .hookAnswered, .boundsChanged:
            throw fail("a \(stored.kind) entry comes with a snapshot")
        }
        guard (point?.value ?? change.entry.pointDigest) == stored.pointDigest else {
            throw fail("the trial point isn't the one that was asked for")
        }
        guard change.entry.status == stored.status else {
            throw fail("led to \(change.entry.status), not to \(stored.status)")
        }
    }

    private func payload(of stored: JournalEntry) throws(ReplayError) -> [UInt8] {
        do {
            return try stored.payload.bytes()
        } catch {
            throw ReplayError(sequence: stored.sequence, reason: "can't be read: \(error)")
        }
    }

    private func result(of stored: JournalEntry) throws(ReplayError) -> EvaluationResult {
        guard stored.kind == .told else {
            return .failed(reason: String(decoding: try payload(of: stored), as: UTF8.self))
        }
        let gradient: Vector?
        do {
            gradient = try stored.payload.vector(as: dtype)
        } catch {
            throw ReplayError(sequence: stored.sequence, reason: "can't be read: \(error)")
        }
        guard let loss = stored.trace?.loss, let gradient, gradient.count == layout.count else {
            throw ReplayError(sequence: stored.sequence, reason: "has no whole gradient")
        }
        return .evaluated(loss: loss, gradient: gradient)
    }
}

/// A payload that is read while the entry before it is replayed. It costs memory for one more
/// vector.
final class PayloadPrefetch: Sendable {
    private let state: Mutex<(payload: Octets, dtype: DType?)>

    init(_ payload: Octets, _ dtype: DType, _ background: BackgroundWork) {
        guard case .stored = payload else {
            state = Mutex((payload, nil))
            return
        }
        state = Mutex((payload, dtype))
        background.start { _ = self.payload }
    }

    /// Read by the first caller. A payload that cannot be read stays on disk, and fails when it is
    /// used.
    var payload: Octets {
        state.withLock { state in
            if let dtype = state.dtype.take(), let vector = try? state.payload.vector(as: dtype) {
                state.payload = .vector(vector)
            }
            return state.payload
        }
    }
}
