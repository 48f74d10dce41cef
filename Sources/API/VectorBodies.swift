internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Synchronization
internal import Wire

// Bodies of octets that are vectors: what comes goes where it stays, what leaves is sent from where
// it is.

/// Takes a body into a vector.
final class VectorSink: BodySink {
    private let builder: Mutex<VectorBuilder?>

    init(byteCount: Int, dtype: DType) {
        builder = Mutex(VectorBuilder(byteCount: byteCount, dtype: dtype))
    }

    func append(_ piece: UnsafeRawBufferPointer) {
        // The server hands over no more than was announced.
        builder.withLock { builder in unsafe _ = builder?.append(piece) }
    }

    /// Once: the sink doesn't keep it.
    func take() -> Vector? {
        builder.withLock { builder in builder.take()?.finished() }
    }
}

/// Sends a vector.
struct VectorSource: BodySource {
    let vector: Vector

    var count: Int { vector.count * vector.dtype.size }

    func copy(from offset: Int, to room: UnsafeMutableRawBufferPointer) -> Int {
        let count = min(room.count, count - offset)
        // Sound: no more than there is room for, nor than what is left.
        unsafe vector.withUnsafeBytes {
            unsafe room.copyMemory(
                from: UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count]))
        }
        return count
    }
}

extension Response {
    init(_ vector: Vector, status: HTTPResponse.Status = .ok, tag: EntityTag? = nil) {
        self.init([], as: .octets, status: status, tag: tag)
        body = .source(VectorSource(vector: vector))
    }
}

extension Operations {
    /// The plan for a body that will be a vector: an array of bytes where it has another form, or
    /// a length that only what was told before can have.
    func plan(
        _ length: Int, _ call: Call, _ expected: ExpectedVector
    ) throws -> BodyPlan {
        if call.bodyRepresentation == .json, length > bodies.json {
            throw Problem(Refusal.contentTooLarge(limit: bodies.json))
        }
        guard call.bodyRepresentation == .octets, length.isMultiple(of: expected.dtype.size),
            length <= expected.count * expected.dtype.size
        else { return .collect }
        return .stream(VectorSink(byteCount: length, dtype: expected.dtype))
    }

    @Sendable func previewResult(_ call: Call, _ length: Int) async throws -> BodyPlan {
        let bytes = call.bodyRepresentation == .octets ? length : nil
        let expected = try await service.expectedResult(
            try call.session(), evaluation: try call.number(.evaluation), bytes: bytes)
        return try plan(length, call, expected)
    }

    @Sendable func previewParameters(_ call: Call, _ length: Int) async throws -> BodyPlan {
        let bytes = call.bodyRepresentation == .octets ? length : nil
        return try plan(
            length, call,
            try await service.expectedParameters(try call.session(), bytes: bytes))
    }
}

extension Call {
    /// The vector that the body is, if it went into one.
    func streamedVector() throws -> Vector? {
        guard let sink = request.sink as? VectorSink else { return nil }
        guard let vector = sink.take() else {
            throw Problem(.malformed, "The body is shorter than its Content-Length.")
        }
        return vector
    }
}
