internal import Synchronization

/// A vector that arrives in pieces, each copied once, to where it stays.
///
/// While the rest of a long result is under way one background thread digests what has come, and
/// another hands it to the store: when the last piece is there, little is left to do before the
/// step, and what the disk still has to do goes on beside it. Tensors may come in another order
/// than the vector has them: both follow as far as the vector is there without a gap.
@safe
public final class IncomingVector: Sendable {
    public let dtype: DType
    private let placement: Placement
    /// The parameters by which named tensors were placed; nil where the body is flat.
    private let named: ReceivedTensors?
    /// The loss that goes with it; nil where nothing is to be done ahead.
    private let loss: Double?
    private let staging: (any OctetsStaging)?
    /// Sound: the memory of `State.vector`, which stays where it is, since nobody changes the array
    /// while it is there. `append` writes behind `PlacementProgress.filled`, the workers read
    /// before it.
    nonisolated(unsafe) private let memory: UnsafeMutableRawPointer?
    private let state: Mutex<State>
    /// Of who digests, of whom there is one at a time.
    private let digest: Mutex<IncrementalDigest?>

    private struct State {
        /// Held until nobody reads the memory any more.
        var vector: Vector?
        var filling: PlacementProgress
        var digested = 0
        var isDigesting = false
        var staged = 0
        var isStaging = false
        /// What came of it.
        var digest: Digest?
        var isDurable = false
        var isTaken = false
        var arrivalWaiter: CheckedContinuation<Void, Never>?
        var stagingWaiter: CheckedContinuation<Void, Never>?
    }

    /// What is worked on at a time: still in a core's cache when it is read the second time.
    private static let stretchBytes = 256 << 10

    /// - Parameters:
    ///   - loss: Of the result that the vector belongs to, if its session waits for it.
    ///   - store: Where that goes.
    /// - Precondition: the vector has whole numbers.
    init(
        _ placement: Placement, dtype: DType, named: ReceivedTensors? = nil, loss: Double?,
        store: any Store
    ) {
        let byteCount = placement.byteCount
        precondition(byteCount.isMultiple(of: dtype.size))
        self.placement = placement
        self.dtype = dtype
        self.named = named
        // Zeros that nobody sends would stop both workers: there is nothing to be done ahead then.
        let isAhead =
            loss != nil && byteCount >= HeavyWork.bytesMin && placement.gaps.isEmpty
        self.loss = isAhead ? loss : nil
        staging = isAhead ? store.staging(byteCount: byteCount) : nil
        digest = Mutex(isAhead ? loss.map { IncrementalDigest(littleEndianBytes([$0])) } : nil)
        var memory: UnsafeMutableRawPointer?
        // Sound: any bits are a number, and nobody reads them before all have been written.
        let vector = unsafe Vector(count: byteCount / dtype.size, dtype: dtype) {
            unsafe memory = $0.baseAddress
        }
        unsafe self.memory = memory
        state = Mutex(State(vector: vector, filling: PlacementProgress(placement)))
    }

    /// Bytes of the vector.
    public var byteCount: Int { placement.byteCount }

    /// Returns false, and takes nothing, if that would be too much. One call at a time.
    public func append(_ piece: UnsafeRawBufferPointer) -> Bool {
        // Nobody else changes it.
        var filling = state.withLock { $0.filling }
        guard piece.count <= placement.bodyBytes - filling.taken else { return false }
        guard let memory = unsafe memory, let source = piece.baseAddress else { return true }
        var copied = 0
        while copied < piece.count, let place = filling.place(piece.count - copied) {
            // Sound: the place is within the vector, and no longer than what is left of the piece.
            unsafe (memory + place.lowerBound).copyMemory(
                from: source + copied, byteCount: place.count)
            copied += place.count
            filling.advance(place.count)
        }
        let (digests, stages) = state.withLock { state in
            state.filling = filling
            let digests = !state.isDigesting && digestible(state) != nil
            let stages = !state.isStaging && stageable(state) != nil
            if digests { state.isDigesting = true }
            if stages { state.isStaging = true }
            return (digests, stages)
        }
        if digests { HeavyWork.ahead { self.digestWhatCame() } }
        if stages { HeavyWork.ahead { self.stageWhatCame() } }
        return true
    }
}

// MARK: - Ahead

extension IncomingVector {
    /// From `start` on, as much as is worth beginning with; nil if there is no more.
    private func stretch(_ start: Int, _ state: State) -> Range<Int>? {
        let filled = state.filling.filled
        let ready =
            filled == byteCount ? byteCount : filled / Self.stretchBytes * Self.stretchBytes
        return start < ready ? start..<min(start + Self.stretchBytes, ready) : nil
    }

    private func digestible(_ state: State) -> Range<Int>? {
        loss == nil ? nil : stretch(state.digested, state)
    }

    private func stageable(_ state: State) -> Range<Int>? {
        staging == nil ? nil : stretch(state.staged, state)
    }

    private func digestWhatCame() {
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

    private func stageWhatCame() {
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
        // Sound: used within the call, while the vector is there, and all of it has come.
        unsafe UnsafeRawBufferPointer(
            start: memory.map { unsafe $0 + range.lowerBound }, count: range.count)
    }
}

// MARK: - Taking the vector

extension IncomingVector: ResultPreparation {
    /// Once: nil unless every byte has come.
    public func take() async -> ReceivedVector? {
        await withCheckedContinuation { continuation in
            let isReady = state.withLock { state in
                if loss == nil || !state.filling.isWhole || state.digested == byteCount {
                    return true
                }
                state.arrivalWaiter = continuation
                return false
            }
            if isReady { continuation.resume() }
        }
        return state.withLock { state in
            guard state.filling.isWhole, !state.isTaken, let vector = state.vector else {
                return nil
            }
            fillGaps()
            state.isTaken = true
            // Else the store still reads it.
            if staging == nil || state.isDurable { state.vector = nil }
            return ReceivedVector(
                vector: vector, tensors: named, preparation: loss == nil ? nil : self)
        }
    }

    private func fillGaps() {
        for gap in placement.gaps {
            guard let memory = unsafe memory else { return }
            // Sound: within the vector, which is there, and which nobody has been given yet.
            unsafe (memory + gap.lowerBound).initializeMemory(
                as: UInt8.self, repeating: 0, count: gap.count)
        }
    }

    package var isStaged: Bool { staging != nil }

    /// Of this result; nil if it is another, or nothing was done ahead.
    package func digest(with loss: Double) -> Digest? {
        loss.bitPattern == self.loss?.bitPattern ? state.withLock { $0.digest } : nil
    }

    /// What the vector is for a batch, when it is durable; nil if the store was not asked.
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
    /// Takes a body of so many octets. With the loss that goes with it, what can be done ahead is.
    public func arriving(
        _ expected: ExpectedVector, byteCount: Int, loss: Double? = nil
    ) -> IncomingVector {
        IncomingVector(
            Placement(whole: byteCount), dtype: expected.dtype,
            loss: expected.use == .result ? loss : nil, store: store)
    }

    /// Takes what follows this head. Throws what telling would throw of a body with such a head.
    public func arriving(
        _ expected: ExpectedVector, _ head: VectorHeader, loss: Double? = nil
    ) throws(TensorMismatch) -> IncomingVector {
        let placement: Placement
        var named: ReceivedTensors?
        switch head {
        case .array(let array):
            placement = try expected.placement(of: array)
        case .tensors(let tensors):
            placement = try expected.placement(of: tensors)
            named = ReceivedTensors(names: Set(tensors.map(\.name)), specs: expected.specs)
        }
        return IncomingVector(
            placement, dtype: expected.dtype, named: named,
            loss: expected.use == .result ? loss : nil, store: store)
    }
}
