internal import Synchronization

/// A vector that arrives in pieces, each of which is copied once, to its place in the vector.
///
/// While a long result arrives, one background thread digests it and another hands it to the store.
/// When the last piece has arrived little is left to do before the step, and the rest of the disk's
/// work overlaps with the step. Tensors may arrive in another order than the vector has them: both
/// threads follow as far as the vector is complete from its beginning.
@safe
public final class IncomingVector: Sendable {
    public let dtype: DType
    private let placement: Placement
    /// The parameters by which named tensors are placed; nil where the body is flat.
    private let named: ReceivedTensors?
    /// The loss that belongs to the gradient; nil where nothing is prepared in the background.
    private let loss: Double?
    private let staging: (any OctetsStaging)?
    private let background: BackgroundWork
    /// Sound: the memory of `State.vector`, which does not move, since the array is not changed
    /// while it is held there. `append` writes behind `PlacementProgress.filled`, and the
    /// background threads read before it.
    nonisolated(unsafe) private let memory: UnsafeMutableRawPointer?
    private let state: Mutex<State>
    /// Used by the thread that digests; there is one at a time.
    private let digest: Mutex<IncrementalDigest?>

    private struct State {
        /// Held until no thread reads the memory any more.
        var vector: Vector?
        var progress: PlacementProgress
        var digested = 0
        var isDigesting = false
        var staged = 0
        var isStaging = false
        /// The result's digest, when the whole vector has been digested.
        var digest: Digest?
        var isDurable = false
        var isTaken = false
        var arrivalWaiter: CheckedContinuation<Void, Never>?
        var stagingWaiter: CheckedContinuation<Void, Never>?
    }

    /// Bytes that are digested or staged at a time: few enough to be still in a core's cache when
    /// the second thread reads them.
    private static let chunkBytes = 256 << 10

    /// - Parameters:
    ///   - loss: The loss of the result that the vector belongs to, if its session waits for it.
    ///   - store: The store that the vector is staged in.
    ///   - background: The threads that digest and stage it.
    /// - Precondition: The vector has whole numbers.
    init(
        _ placement: Placement, dtype: DType, named: ReceivedTensors? = nil, loss: Double?,
        store: any Store, background: BackgroundWork
    ) {
        self.background = background
        let byteCount = placement.byteCount
        precondition(byteCount.isMultiple(of: dtype.size))
        self.placement = placement
        self.dtype = dtype
        self.named = named
        // The background threads would wait in vain for a gap to be filled.
        let isPrepared =
            loss != nil && byteCount >= BackgroundWork.bytesMin && placement.gaps.isEmpty
        self.loss = isPrepared ? loss : nil
        staging = isPrepared ? store.staging(byteCount: byteCount) : nil
        digest = Mutex(isPrepared ? loss.map { IncrementalDigest(littleEndianBytes([$0])) } : nil)
        var memory: UnsafeMutableRawPointer?
        // Sound: any bits are a number, and they are read only after they have been written.
        let vector = unsafe Vector(count: byteCount / dtype.size, dtype: dtype) {
            unsafe memory = $0.baseAddress
        }
        unsafe self.memory = memory
        state = Mutex(State(vector: vector, progress: PlacementProgress(placement)))
    }

    /// Bytes of the vector.
    public var byteCount: Int { placement.byteCount }

    /// Copies the next piece to its place. Returns false, and takes nothing, if the body would
    /// become longer than announced. Calls must not overlap.
    public func append(_ piece: UnsafeRawBufferPointer) -> Bool {
        // No other call changes it.
        var progress = state.withLock { $0.progress }
        guard piece.count <= placement.bodyBytes - progress.taken else { return false }
        guard let memory = unsafe memory else { return true }
        // Sound: the memory holds the placement's bytes.
        unsafe progress.copy(piece, to: memory)
        let (digests, stages) = state.withLock { state in
            state.progress = progress
            let digests = !state.isDigesting && digestible(state) != nil
            let stages = !state.isStaging && stageable(state) != nil
            if digests { state.isDigesting = true }
            if stages { state.isStaging = true }
            return (digests, stages)
        }
        if digests { background.start { self.digestArrived() } }
        if stages { background.start { self.stageArrived() } }
        return true
    }
}

// MARK: - Preparing the result in the background

extension IncomingVector {
    /// The next chunk from `start` on; nil until a whole one, or the vector's last, has arrived.
    private func chunk(_ start: Int, _ state: State) -> Range<Int>? {
        let filled = state.progress.filled
        let ready =
            filled == byteCount ? byteCount : filled / Self.chunkBytes * Self.chunkBytes
        return start < ready ? start..<min(start + Self.chunkBytes, ready) : nil
    }

    private func digestible(_ state: State) -> Range<Int>? {
        loss == nil ? nil : chunk(state.digested, state)
    }

    private func stageable(_ state: State) -> Range<Int>? {
        staging == nil ? nil : chunk(state.staged, state)
    }

    private func digestArrived() {
        while let range = state.withLock({ state in
            let range = digestible(state)
            if range == nil { state.isDigesting = false }
            return range
        }) {
            digest.withLock { unsafe $0?.update(bytes(range)) }
            let isWhole = range.upperBound == byteCount
            let whole = isWhole ? digest.withLock { $0.take()?.finish() } : nil
            state.withLock { state in
                state.digested = range.upperBound
                guard isWhole else { return }
                state.digest = whole
                state.arrivalWaiter.take()?.resume()
            }
        }
    }

    private func stageArrived() {
        while let range = state.withLock({ state in
            let range = stageable(state)
            if range == nil { state.isStaging = false }
            return range
        }) {
            unsafe staging?.append(bytes(range))
            let isWhole = range.upperBound == byteCount
            if isWhole { staging?.finish() }
            state.withLock { state in
                state.staged = range.upperBound
                guard isWhole else { return }
                state.isDurable = true
                if state.isTaken { state.vector = nil }
                state.stagingWaiter.take()?.resume()
            }
        }
    }

    private func bytes(_ range: Range<Int>) -> UnsafeRawBufferPointer {
        // Sound: used within the call, while the vector is held, and all of these have arrived.
        unsafe UnsafeRawBufferPointer(
            start: memory.map { unsafe $0 + range.lowerBound }, count: range.count)
    }
}

// MARK: - Taking the vector

extension IncomingVector: ResultPreparation {
    /// The vector, when it has been digested; nil unless every byte has arrived. To be called once.
    public func take() async -> ReceivedVector? {
        await withCheckedContinuation { continuation in
            let isReady = state.withLock { state in
                if loss == nil || !state.progress.isWhole || state.digested == byteCount {
                    return true
                }
                state.arrivalWaiter = continuation
                return false
            }
            if isReady { continuation.resume() }
        }
        return state.withLock { state in
            guard state.progress.isWhole, !state.isTaken, let vector = state.vector else {
                return nil
            }
            // Sound: the vector is there, and has been handed to nobody.
            if let memory = unsafe memory { unsafe placement.clearGaps(of: memory) }
            state.isTaken = true
            // Otherwise the store still reads it.
            if staging == nil || state.isDurable { state.vector = nil }
            return ReceivedVector(
                vector: vector, tensors: named, preparation: loss == nil ? nil : self)
        }
    }

    package var isStaged: Bool { staging != nil }

    /// The digest of the result with this loss; nil if another was announced, or none.
    package func digest(with loss: Double) -> Digest? {
        loss.bitPattern == self.loss?.bitPattern ? state.withLock { $0.digest } : nil
    }

    /// Waits until the vector is durable, and returns what a batch names in its place; nil if it
    /// was not staged.
    package func staged() async -> Result<Octets, StoreError>? {
        guard let staging else { return nil }
        await withCheckedContinuation { continuation in
            let isDurable = state.withLock { state in
                if !state.isDurable { state.stagingWaiter = continuation }
                return state.isDurable
            }
            if isDurable { continuation.resume() }
        }
        return staging.take()
    }
}

extension SessionService {
    /// Prepares for the numbers behind this header. With the loss that belongs to a gradient, the
    /// result is digested and staged in the background while it arrives. Throws what telling would
    /// throw of a collected body with such a header.
    public func arriving(
        _ expected: ExpectedVector, _ header: VectorHeader, loss: Double? = nil
    ) throws(VectorMismatch) -> IncomingVector {
        var named: ReceivedTensors?
        if case .tensors(let tensors) = header {
            named = ReceivedTensors(names: Set(tensors.map(\.name)), specs: expected.specs)
        }
        return IncomingVector(
            try expected.placement(of: header), dtype: expected.dtype, named: named,
            loss: expected.use == .result ? loss : nil, store: store, background: background)
    }
}
