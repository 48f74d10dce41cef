internal import HTTPServer
internal import Sessions
internal import Synchronization
internal import Wire

/// Puts a binary body into its vector while it arrives. The header is collected first, and compared
/// with what the session expects when it is complete. Where it is wrong the rest is discarded.
///
///     header --> parsing --> numbers
///        \-----------\-----> malformed, mismatch
///
/// A long header is parsed on a background thread, so as not to delay the event loop's other
/// requests. Numbers that arrive meanwhile are kept until they have a place.
final class VectorSink: BodySink {
    typealias Begin = @Sendable (VectorHeader) throws(VectorMismatch) -> IncomingVector

    private enum Stage {
        case header
        case parsing
        case numbers(IncomingVector)
        case malformed(WireError)
        case mismatch(VectorMismatch)
    }

    private struct State {
        var stage: Stage
        /// Beside the stage, not in it, so that what it collects is never copied.
        var header: VectorHeaderReader?
        /// Numbers that arrived while the header was being parsed.
        var waiting: [UInt8] = []
        var waiter: CheckedContinuation<Void, Never>?
        /// Compares the body with its Content-Digest as it arrives.
        var digest: DigestCheck?
    }

    private let begin: Begin?
    private let background: BackgroundWork
    private let state: Mutex<State>

    /// Parsing a header of this length takes less time than waking another thread.
    private static let shortHeaderBytes = 1 << 10

    /// A body without a header.
    init(_ vector: IncomingVector, digest: DigestCheck?, background: BackgroundWork) {
        begin = nil
        self.background = background
        state = Mutex(State(stage: .numbers(vector), digest: digest))
    }

    /// A body with a header; `begin` prepares for the numbers behind it.
    init(
        _ header: VectorHeaderReader, digest: DigestCheck?, background: BackgroundWork,
        begin: @escaping Begin
    ) {
        self.begin = begin
        self.background = background
        state = Mutex(State(stage: .header, header: header, digest: digest))
    }

    func append(_ piece: UnsafeRawBufferPointer) {
        let long = state.withLock { state in
            unsafe state.digest?.update(piece)
            return unsafe append(piece, to: &state)
        }
        if let long { Task { await parse(long) } }
    }

    func checkDigest() throws {
        try state.withLock { try $0.digest?.finish() }
    }

    /// The vector, when the whole body has arrived. To be called once.
    func take() async throws -> VectorInput {
        await withCheckedContinuation { continuation in
            let isRead = state.withLock { state in
                guard case .parsing = state.stage else { return true }
                state.waiter = continuation
                return false
            }
            if isRead { continuation.resume() }
        }
        switch state.withLock({ $0.stage }) {
        case .malformed(let error): throw error
        case .mismatch(let mismatch): return .mismatch(mismatch)
        case .numbers(let vector):
            if let received = await vector.take() { return .received(received) }
        case .header, .parsing: break
        }
        throw Problem(.malformed, "The body is shorter than its Content-Length.")
    }
}

extension VectorSink {
    /// Returns the header, if it has just become complete and is too long to be parsed here.
    private func append(
        _ piece: UnsafeRawBufferPointer, to state: inout State
    ) -> VectorHeaderReader? {
        switch state.stage {
        case .header:
            do throws(WireError) {
                guard let (isWhole, bytes) = try unsafe state.header?.take(piece), isWhole,
                    let header = state.header.take()
                else { return nil }
                let isShort = header.count <= Self.shortHeaderBytes
                state.stage = isShort ? stage(after: header) : .parsing
                // Sound: no more than the piece was taken of it.
                unsafe _ = append(UnsafeRawBufferPointer(rebasing: piece[bytes...]), to: &state)
                return isShort ? nil : header
            } catch {
                state.header = nil
                state.stage = .malformed(error)
            }
        case .parsing: unsafe state.waiting.append(contentsOf: piece)
        // The server hands over no more than was announced, header included.
        case .numbers(let vector): unsafe _ = vector.append(piece)
        case .malformed, .mismatch: break
        }
        return nil
    }

    private func stage(after reader: VectorHeaderReader) -> Stage {
        guard let begin else { preconditionFailure("a header of a body that has none") }
        let header: VectorHeader
        do throws(WireError) {
            header = try reader.header()
        } catch {
            return .malformed(error)
        }
        do throws(VectorMismatch) {
            return .numbers(try begin(header))
        } catch {
            return .mismatch(error)
        }
    }

    private func parse(_ header: VectorHeaderReader) async {
        if header.count < BackgroundWork.bytesMin {
            enter(stage(after: header))
        } else {
            await background.run { self.enter(self.stage(after: header)) }
        }
    }

    /// Places the numbers that were kept, and enters the stage when none are left: from then on
    /// `append` places what arrives.
    private func enter(_ stage: Stage) {
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
