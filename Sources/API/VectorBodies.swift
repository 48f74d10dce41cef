internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Synchronization
internal import Wire

// Bodies of octets that are vectors: what comes goes where it stays, what leaves is sent from where
// it is.

/// Takes a body into a vector.
final class VectorSink: BodySink {
    private let vector: ArrivingVector
    private let digest: Mutex<DigestCheck?>

    /// - Parameter digest: What the body is compared with as it comes.
    init(_ vector: ArrivingVector, digest: DigestCheck?) {
        self.vector = vector
        self.digest = Mutex(digest)
    }

    func append(_ piece: UnsafeRawBufferPointer) {
        // The server hands over no more than was announced.
        unsafe _ = vector.append(piece)
        digest.withLock { unsafe $0?.update(piece) }
    }

    func checkDigest() throws {
        try digest.withLock { try $0?.finish() }
    }

    /// Once: nil when it isn't whole.
    func take() async -> ArrivedVector? { await vector.take() }
}

/// Sends a vector, and what its form says before the numbers.
struct VectorSource: BodySource {
    let head: [UInt8]
    let vector: Vector

    var count: Int { head.count + vector.count * vector.dtype.size }

    func copy(from offset: Int, to room: UnsafeMutableRawBufferPointer) -> Int {
        let end = min(offset + room.count, count)
        let middle = min(max(offset, head.count), end)
        // Sound: both parts lie within what they are taken from, and together within the room.
        if offset < middle {
            unsafe head.withUnsafeBytes { unsafe room.copyBytes(from: $0[offset..<middle]) }
        }
        if middle < end {
            unsafe vector.withUnsafeBytes { numbers in
                let part = unsafe numbers[(middle - head.count)..<(end - head.count)]
                unsafe UnsafeMutableRawBufferPointer(rebasing: room[(middle - offset)...])
                    .copyBytes(from: part)
            }
        }
        return end - offset
    }
}

extension Operations {
    /// The plan for a body that will be a vector: an array of bytes where it has another form, or
    /// a length that only what was told before can have.
    /// - Parameter loss: What goes with the vector, where that is known.
    func plan(
        _ length: Int, _ call: Call, _ expected: ExpectedVector, loss: Double? = nil
    ) throws -> BodyPlan {
        if call.bodyRepresentation == .json, length > bodies.json {
            throw Problem(Refusal.contentTooLarge(limit: bodies.json))
        }
        guard call.bodyRepresentation == .octets, length.isMultiple(of: expected.dtype.size),
            length <= expected.count * expected.dtype.size
        else { return .collect }
        return .stream(
            VectorSink(
                service.arriving(expected, byteCount: length, loss: loss),
                digest: try DigestCheck(call.request.head)))
    }

    @Sendable func previewResult(_ call: Call, _ length: Int) async throws -> BodyPlan {
        let bytes = call.bodyRepresentation == .octets ? length : nil
        let expected = try await service.expectedResult(
            try call.session(), evaluation: try call.number(.evaluation), bytes: bytes)
        // A shard's is another digest, and another entry.
        let isWhole = call.request.pathParameters["shard"] == nil
        let loss = isWhole ? try? TellRequest.loss(call.query("loss")) : nil
        return try plan(length, call, expected, loss: loss)
    }

    @Sendable func previewParameters(_ call: Call, _ length: Int) async throws -> BodyPlan {
        let bytes = call.bodyRepresentation == .octets ? length : nil
        return try plan(
            length, call,
            try await service.expectedParameters(try call.session(), bytes: bytes))
    }
}

extension Call {
    /// Throws unless the body is what its Content-Digest says, if it has one.
    func checkDigest() throws {
        if let sink = request.sink as? VectorSink {
            try sink.checkDigest()
        } else {
            try ContentDigest.check(body, of: request.head)
        }
    }

    /// The vector that the body is, if it went into one.
    func streamedVector() async throws -> ArrivedVector? {
        guard let sink = request.sink as? VectorSink else { return nil }
        guard let vector = await sink.take() else {
            throw Problem(.malformed, "The body is shorter than its Content-Length.")
        }
        return vector
    }
}
