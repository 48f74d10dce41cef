internal import Synchronization

/// A vector that arrives in pieces, each copied once, to where it stays.
///
/// While the rest of a long result is under way one background thread digests what has come, and
/// another hands it to the store: when the last piece is there, little is left to do before the
/// step, and what the disk still has to do goes on beside it.
@safe
public final class ArrivingVector: Sendable {
    public let dtype: DType
    public let byteCount: Int
    /// The loss that goes with it; nil where nothing is to be done ahead.
    private let loss: Double?
    private let staging: (any OctetsStaging)?
    /// Sound: the memory of `State.vector`, which stays where it is, since nobody changes the array
    /// while it is there. `append` writes behind `State.filled`, the workers read before it.
    nonisolated(unsafe) private let memory: UnsafeMutableRawPointer?
    private let state: Mutex<State>
    /// Of who digests, of whom there is one at a time.
    private let digest: Mutex<GradualDigest?>

    private struct State {
        /// Held until nobody reads the memory any more.
        var vector: Vector?
        var filled = 0
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
    /// - Precondition: `byteCount` is that of whole numbers.
    init(byteCount: Int, dtype: DType, loss: Double?, store: any Store) {
        precondition(byteCount >= 0 && byteCount.isMultiple(of: dtype.size))
        self.dtype = dtype
        self.byteCount = byteCount
        let isLong = loss != nil && byteCount >= HeavyWork.bytesMin
        self.loss = isLong ? loss : nil
        staging = isLong ? store.staging(byteCount: byteCount) : nil
        digest = Mutex(isLong ? loss.map { GradualDigest(littleEndianBytes([$0])) } : nil)
        var memory: UnsafeMutableRawPointer?
        // Sound: any bits are a number, and nobody reads them before all have been written.
        let vector = unsafe Vector(count: byteCount / dtype.size, dtype: dtype) {
            unsafe memory = $0.baseAddress
        }
        unsafe self.memory = memory
        state = Mutex(State(vector: vector))
    }

    /// Returns false, and takes nothing, if that would be too much. One call at a time.
    public func append(_ piece: UnsafeRawBufferPointer) -> Bool {
        let start = state.withLock { $0.filled }
        guard piece.count <= byteCount - start else { return false }
        guard let memory = unsafe memory, let source = piece.baseAddress else { return true }
        // Sound: the piece fits behind what was filled.
        unsafe (memory + start).copyMemory(from: source, byteCount: piece.count)
        let (digests, stages) = state.withLock { state in
            state.filled += piece.count
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

extension ArrivingVector {
    /// From `start` on, as much as is worth beginning with; nil if there is no more.
    private func stretch(_ start: Int, _ state: State) -> Range<Int>? {
        let isWhole = state.filled == byteCount
        let ready = isWhole ? byteCount : state.filled / Self.stretchBytes * Self.stretchBytes
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

// MARK: - Here

extension ArrivingVector {
    /// Once: nil unless every byte has come.
    public func take() async -> ArrivedVector? {
        await withCheckedContinuation { continuation in
            let isReady = state.withLock { state in
                if loss == nil || state.filled < byteCount || state.digested == byteCount {
                    return true
                }
                state.arrivalWaiter = continuation
                return false
            }
            if isReady { continuation.resume() }
        }
        return state.withLock { state in
            guard state.filled == byteCount, !state.isTaken, let vector = state.vector else {
                return nil
            }
            state.isTaken = true
            // Else the store still reads it.
            if staging == nil || state.isDurable { state.vector = nil }
            return ArrivedVector(vector: vector, ahead: loss == nil ? nil : self)
        }
    }

    fileprivate var isStaged: Bool { staging != nil }

    /// Of this result; nil if it is another, or nothing was done ahead.
    fileprivate func digest(with loss: Double) -> Digest? {
        loss.bitPattern == self.loss?.bitPattern ? state.withLock { $0.digest } : nil
    }

    /// What the vector is for a batch, when it is durable; nil if the store was not asked.
    fileprivate func staged() async -> Result<Octets, StoreError>? {
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

/// A vector that has come whole, and what was done with it ahead.
public struct ArrivedVector: Sendable, Equatable {
    public let vector: Vector
    fileprivate let ahead: ArrivingVector?

    /// The digest of the result of which it is the gradient, if that was made.
    func digest(with loss: Double) -> Digest? { ahead?.digest(with: loss) }

    /// Whether the store has been given it.
    var isStaged: Bool { ahead?.isStaged ?? false }

    /// Once: what it is for a batch; nil if the store has not been given it.
    func staged() async -> Result<Octets, StoreError>? { await ahead?.staged() }

    public static func == (one: ArrivedVector, other: ArrivedVector) -> Bool {
        one.vector == other.vector
    }
}

extension SessionService {
    /// Takes a body of so many octets. With the loss that goes with it, what can be done ahead is.
    public func arriving(
        _ expected: ExpectedVector, byteCount: Int, loss: Double? = nil
    ) -> ArrivingVector {
        ArrivingVector(
            byteCount: byteCount, dtype: expected.dtype, loss: expected.isPending ? loss : nil,
            store: store)
    }
}
