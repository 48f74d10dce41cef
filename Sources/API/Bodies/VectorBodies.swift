internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

// Bodies that are vectors: what comes goes where it stays, what leaves is sent from where it is.

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
    /// The plan for a body that will be a vector. It is collected where it is JSON, or longer than
    /// any vector but one that was told before can be.
    /// - Parameter loss: The loss that belongs to a gradient, where it is known.
    func plan(
        _ length: Int, _ call: Call, _ expected: ExpectedVector, loss: Double? = nil
    ) throws -> BodyPlan {
        let form = call.bodyRepresentation
        if form == .json {
            guard length <= bodies.json else {
                throw Problem(RequestRejection.contentTooLarge(limit: bodies.json))
            }
            return try planJSON(length, call, numbersMax: expected.count)
        }
        if let reader = VectorHeaderReader(form, bodyBytes: length) {
            let service = service
            return .stream(
                VectorSink(
                    reader, digest: try DigestCheck(call.request.head),
                    background: service.background
                ) {
                    header throws(VectorMismatch) in
                    try service.arriving(expected, header, loss: loss)
                })
        }
        guard form == .octets, length <= expected.count * expected.dtype.size,
            let vector = try? service.arriving(expected, .octets(byteCount: length), loss: loss)
        else { return .collect }
        return .stream(
            VectorSink(
                vector, digest: try DigestCheck(call.request.head), background: service.background))
    }

    @Sendable func previewResult(_ call: Call, _ length: Int) async throws -> BodyPlan {
        let bytes = call.bodyRepresentation == .octets ? length : nil
        let id = try call.session()
        let number = try call.number(.evaluation)
        let precondition = try call.precondition()
        let expected = try await service.withSession(id) {
            try await $0.expectedResult(of: number, bytes: bytes, precondition: precondition)
        }
        // A shard's is another digest, and another entry.
        let isWhole = call.request.pathParameters["shard"] == nil
        let loss = isWhole ? try? TellRequest.loss(call.query("loss")) : nil
        return try plan(length, call, expected, loss: loss)
    }

    @Sendable func previewParameters(_ call: Call, _ length: Int) async throws -> BodyPlan {
        let bytes = call.bodyRepresentation == .octets ? length : nil
        let precondition = try call.precondition()
        let expected = try await service.withSession(try call.session()) {
            try await $0.expectedParameters(bytes: bytes, precondition: precondition)
        }
        return try plan(length, call, expected)
    }

    @Sendable func previewStateDict(_ call: Call, _ length: Int) async throws -> BodyPlan {
        let precondition = try call.precondition()
        try await service.withSession(try call.session()) {
            try await $0.checkStateDictExpected(precondition: precondition)
        }
        return try planJSON(length, call, numbersMax: stateNumbersMax)
    }
}

extension Call {
    /// Throws unless the body is what its Content-Digest says, if it has one.
    func checkDigest() throws {
        if let sink = request.sink as? VectorSink {
            try sink.checkDigest()
        } else if let sink = request.sink as? JSONSink {
            try sink.checkDigest()
        } else if let sink = request.sink as? SessionFileSink {
            try sink.checkDigest()
        } else {
            try ContentDigest.check(body, of: request.head)
        }
    }

    /// The document of a JSON body.
    /// - Parameter isOptional: Whether an empty body counts as `{}`.
    func document(isOptional: Bool = false) throws -> JSONDocument {
        if let sink = request.sink as? JSONSink { return try sink.document() }
        return try JSONDocument(body, isOptional: isOptional)
    }

    /// The digest of the body.
    var bodyDigest: Digest { (request.sink as? JSONSink)?.digest ?? .of(body) }

    /// The vector of a binary body; nil where the body is JSON.
    func vector() async throws -> VectorInput? {
        if let sink = request.sink as? VectorSink { return try await sink.take() }
        if request.sink is JSONSink { return nil }
        return try CollectedVector(body, as: bodyRepresentation).map(VectorInput.collected)
    }
}
