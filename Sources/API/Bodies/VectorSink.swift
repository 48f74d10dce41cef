internal import HTTPServer
internal import Sessions
internal import Synchronization
internal import Wire

/// Takes a body into a vector. What stands before the numbers is collected and looked at when it is
/// whole; where it is wrong, the rest is let go.
///
///     head --> reading --> numbers
///        \---------\-----> malformed, mismatch
///
/// A long head is read aside: the serving thread, which others wait for, would be held up. What
/// comes meanwhile waits for its place.
final class VectorSink: BodySink {
    typealias Begin = @Sendable (VectorHeader) throws(TensorMismatch) -> IncomingVector

    private enum Stage {
        case head
        case reading
        case numbers(IncomingVector)
        case malformed(WireError)
        case mismatch(TensorMismatch)
    }

    private struct State {
        var stage: Stage
        /// Beside the stage, not in it, so that what it collects is never copied.
        var head: VectorHeaderReader?
        /// What came behind a head that is being read.
        var waiting: [UInt8] = []
        var waiter: CheckedContinuation<Void, Never>?
        /// What the body is compared with as it comes.
        var digest: DigestCheck?
    }

    private let begin: Begin?
    private let state: Mutex<State>

    /// What is read in less time than another thread takes to wake.
    private static let shortHeadBytes = 1 << 10

    /// A body that is the vector.
    init(_ vector: IncomingVector, digest: DigestCheck?) {
        begin = nil
        state = Mutex(State(stage: .numbers(vector), digest: digest))
    }

    /// A body that says something before its numbers; `begin` has a place for them.
    init(_ head: VectorHeaderReader, digest: DigestCheck?, begin: @escaping Begin) {
        self.begin = begin
        state = Mutex(State(stage: .head, head: head, digest: digest))
    }

    func append(_ piece: UnsafeRawBufferPointer) {
        let long = state.withLock { state in
            unsafe state.digest?.update(piece)
            return unsafe append(piece, to: &state)
        }
        if let long { Task { await read(long) } }
    }

    func checkDigest() throws {
        try state.withLock { try $0.digest?.finish() }
    }

    /// What came of it, once.
    func take() async throws -> StreamedVector {
        await withCheckedContinuation { continuation in
            let isRead = state.withLock { state in
                guard case .reading = state.stage else { return true }
                state.waiter = continuation
                return false
            }
            if isRead { continuation.resume() }
        }
        switch state.withLock({ $0.stage }) {
        case .malformed(let error): throw error
        case .mismatch(let mismatch): return .mismatch(mismatch)
        case .numbers(let vector):
            if let arrived = await vector.take() { return .arrived(arrived) }
        case .head, .reading: break
        }
        throw Problem(.malformed, "The body is shorter than its Content-Length.")
    }
}

extension VectorSink {
    /// Returns the head, if it has just become whole and is too long to be read here.
    private func append(
        _ piece: UnsafeRawBufferPointer, to state: inout State
    ) -> VectorHeaderReader? {
        switch state.stage {
        case .head:
            do throws(WireError) {
                guard let (isWhole, bytes) = try unsafe state.head?.take(piece), isWhole,
                    let head = state.head.take()
                else { return nil }
                let isShort = head.count <= Self.shortHeadBytes
                state.stage = isShort ? stage(after: head) : .reading
                // Sound: no more than the piece was taken of it.
                unsafe _ = append(UnsafeRawBufferPointer(rebasing: piece[bytes...]), to: &state)
                return isShort ? nil : head
            } catch {
                state.head = nil
                state.stage = .malformed(error)
            }
        case .reading: unsafe state.waiting.append(contentsOf: piece)
        // The server hands over no more than was announced, and the head goes with that.
        case .numbers(let vector): unsafe _ = vector.append(piece)
        case .malformed, .mismatch: break
        }
        return nil
    }

    private func stage(after reader: VectorHeaderReader) -> Stage {
        guard let begin else { preconditionFailure("a head of a body that has none") }
        let head: VectorHeader
        do throws(WireError) {
            head = try reader.head()
        } catch {
            return .malformed(error)
        }
        do throws(TensorMismatch) {
            return .numbers(try begin(head))
        } catch {
            return .mismatch(error)
        }
    }

    private func read(_ head: VectorHeaderReader) async {
        if head.count < HeavyWork.bytesMin {
            goOn(as: stage(after: head))
        } else {
            await HeavyWork.aside { self.goOn(as: self.stage(after: head)) }
        }
    }

    /// Puts what waits where it belongs, until nothing does; then the serving thread does that.
    private func goOn(as stage: Stage) {
        while let bytes = state.withLock({ state -> [UInt8]? in
            defer { state.waiting = [] }
            if case .numbers = stage, !state.waiting.isEmpty { return state.waiting }
            state.stage = stage
            state.waiter.take()?.resume()
            return nil
        }) {
            guard case .numbers(let vector) = stage else { return }
            // Sound: the array outlives the call.
            unsafe bytes.withUnsafeBytes { unsafe _ = vector.append($0) }
        }
    }
}

/// What came of a body that went into a vector.
enum StreamedVector {
    case arrived(ReceivedVector)
    /// It was let go, since its head is not what the session expects.
    case mismatch(TensorMismatch)

    var gradient: GradientInput {
        switch self {
        case .arrived(let vector): .vector(vector)
        case .mismatch(let mismatch): .mismatch(mismatch)
        }
    }

    var parameters: ParametersInput {
        switch self {
        case .arrived(let vector): .vector(vector)
        case .mismatch(let mismatch): .mismatch(mismatch)
        }
    }
}
