internal import HTTPServer
internal import Sessions
internal import Synchronization
internal import Wire

/// Reads a JSON body while it arrives, on a background thread. What arrives meanwhile waits for the
/// thread, up to a limit, beyond which the client waits.
///
/// The document is taken only when the whole body is there and is what its Content-Digest says. An
/// error ends the exchange earlier, unless there is such a digest: the damage would be the error's
/// cause.
final class JSONSink: BodySink {
    private struct State {
        var waiting: [UInt8] = []
        var bytesReceived = 0
        /// Whether a thread reads what waits, or is about to.
        var isReading = false
        var failure: WireError?
        var outcome: Result<JSONDocument, WireError>?
        var memoryBytes = 0
        var waiter: CheckedContinuation<Void, Never>?
        var resume: (@Sendable () -> Void)?
    }

    /// What the reading thread uses; there is one at a time.
    private struct Reading {
        var reader: JSONReader
        var check: DigestCheck?
        /// Of the body, and of the body after what an Idempotency-Key is compared with.
        var digest = IncrementalDigest([])
        var keyedDigest: IncrementalDigest?
    }

    private let head: RequestHead
    private let length: Int
    private let rejectsEarly: Bool
    private let background: BackgroundWork
    private let state = Mutex(State())
    private let reading: Mutex<Reading>

    /// Bodies up to this length are collected, and parsed by the event loop's thread.
    static let collectedBytesMax = 64 << 10
    /// Bytes that wait before the client has to.
    private static let waitingBytesMax = 1 << 20

    /// - Parameters:
    ///   - head: The request's, which a problem names.
    ///   - length: The body's length.
    ///   - keyPrefix: What precedes the body in the digest of a request with an Idempotency-Key.
    init(
        head: RequestHead, length: Int, limits: JSONLimits, check: DigestCheck?,
        keyPrefix: [UInt8]?, background: BackgroundWork
    ) {
        self.head = head
        self.length = length
        self.background = background
        rejectsEarly = check == nil
        reading = Mutex(
            Reading(
                reader: JSONReader(length: length, limits: limits), check: check,
                keyedDigest: keyPrefix.map { IncrementalDigest($0) }))
    }

    // MARK: On the event loop

    func append(_ piece: UnsafeRawBufferPointer) {
        let starts = state.withLock { state in
            unsafe state.waiting.append(contentsOf: piece)
            state.bytesReceived += piece.count
            defer { state.isReading = true }
            return !state.isReading
        }
        if starts { background.parse { self.read() } }
    }

    var status: BodySinkStatus {
        state.withLock { state in
            var status = BodySinkStatus()
            status.memoryBytes = state.memoryBytes
            status.isFull = state.waiting.count >= Self.waitingBytesMax
            if rejectsEarly {
                status.rejection = state.failure.map { Problem($0).response(to: head) }
            }
            return status
        }
    }

    func whenReady(_ resume: @escaping @Sendable () -> Void) {
        let isReady = state.withLock { state in
            guard state.waiting.count >= Self.waitingBytesMax else { return true }
            state.resume = resume
            return false
        }
        if isReady { resume() }
    }

    // MARK: On a background thread

    /// Reads what waits. Bodies take turns: what has arrived meanwhile is read by a later call.
    private func read() {
        let (bytes, isLast, resume) = state.withLock { state in
            var bytes: [UInt8] = []
            swap(&bytes, &state.waiting)
            return (bytes, state.bytesReceived == length, state.resume.take())
        }
        resume?()
        let hasFailed = state.withLock { $0.failure != nil }
        let (outcome, memoryBytes) = reading.withLock { reading in
            // Sound: the array outlives the call.
            unsafe bytes.withUnsafeBytes { bytes in
                unsafe reading.check?.update(bytes)
                unsafe reading.digest.update(bytes)
                unsafe reading.keyedDigest?.update(bytes)
            }
            let outcome = hasFailed ? nil : reading.reader.read(bytes, isLast: isLast)
            return (outcome, reading.reader.memoryBytes)
        }
        let (waiter, continues) = state.withLock { state in
            state.memoryBytes = memoryBytes
            if case .failure(let error) = outcome { state.failure = error }
            if isLast { state.outcome = state.failure.map { .failure($0) } ?? outcome }
            state.isReading = !state.waiting.isEmpty
            return (state.outcome == nil ? nil : state.waiter.take(), state.isReading)
        }
        waiter?.resume()
        if continues { background.parse { self.read() } }
    }

    // MARK: In the handler

    /// Returns when the body was read to its end.
    func finish() async {
        await withCheckedContinuation { continuation in
            let isFinished = state.withLock { state in
                if state.outcome == nil { state.waiter = continuation }
                return state.outcome != nil
            }
            if isFinished { continuation.resume() }
        }
    }

    func checkDigest() throws {
        try reading.withLock { try $0.check?.finish() }
    }

    func document() throws -> JSONDocument {
        guard let outcome = state.withLock({ $0.outcome }) else {
            preconditionFailure("a document is taken before it was read")
        }
        return try outcome.get()
    }

    var digest: Digest { reading.withLock { $0.digest.finish() } }

    /// The digest of a request with an Idempotency-Key.
    var keyedDigest: Digest? { reading.withLock { $0.keyedDigest?.finish() } }
}

extension JSONReader {
    /// nil before the document's end.
    fileprivate mutating func read(
        _ bytes: [UInt8], isLast: Bool
    ) -> Result<JSONDocument, WireError>? {
        do throws(WireError) {
            // Sound: the array outlives the call. (Its closure can't throw a typed error.)
            let failure = unsafe bytes.withUnsafeBytes { bytes -> WireError? in
                do throws(WireError) {
                    unsafe try append(bytes)
                    return nil
                } catch {
                    return error
                }
            }
            if let failure { throw failure }
            return isLast ? .success(try finish()) : nil
        } catch {
            return .failure(error)
        }
    }
}

extension Operations {
    /// The plan for a long JSON body; shorter ones, and those of other types, are collected.
    func planJSON(_ length: Int, _ call: Call, numbersMax: Int) throws -> BodyPlan {
        guard call.bodyRepresentation == .json, length > JSONSink.collectedBytesMax else {
            return .collect
        }
        // Some more, for shapes and indices.
        let (numbers, overflow) = numbersMax.addingReportingOverflow(1 << 20)
        let limits = JSONLimits(
            valuesMax: service.limits.jsonValuesMax,
            stringBytesMax: service.limits.jsonStringBytesMax,
            numbersMax: overflow ? .max : numbers)
        return .stream(
            JSONSink(
                head: call.request.head, length: length, limits: limits,
                check: try DigestCheck(call.request.head), keyPrefix: call.idempotencyPrefix,
                background: service.background))
    }
}
