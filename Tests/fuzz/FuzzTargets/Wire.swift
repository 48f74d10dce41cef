internal import SessionModel
@testable import Wire

/// Every JSON document that a client can send. Long ones are read by another parser, as they
/// arrive: it must find the same.
@Sendable func fuzzJSON(_ input: [UInt8]) {
    let whole = outcome { () throws(WireError) in try JSONDocument(input) }
    let pieces = outcome { () throws(WireError) in try read(input, pieceBytes: 3) }
    precondition(isSame(whole, pieces), "in pieces: \(pieces), not \(whole)")
    _ = try? CreateRequest(json: input)
    _ = try? UpdateRequest(json: input)
    _ = try? CheckpointRequest(json: input)
    _ = try? CheckpointUpdate(json: input)
    _ = try? ForkRequest(json: input)
    _ = try? StepRequest(json: input)
    _ = try? ZeroGradientRequest(json: input)
    _ = try? LeaseRequest(json: input)
    _ = try? NoFields.check(json: input)
    _ = try? EvaluationBatch(json: input, itemsMax: 100)
    _ = try? GroupRequest(json: input)
    _ = try? GroupUpdate(json: input)
    _ = try? HookRequest(json: input)
    _ = try? HookRequest.list(json: input)
    _ = try? HookAnswer(json: input)
    _ = try? StateDict(json: input)
    _ = try? TellRequest(json: input)
    guard let document = try? JSONField(document: input) else { return }
    // Numbers that are written are read back bit for bit.
    guard let numbers = try? document.numbers() else { return }
    var text = JSONText()
    text.numbers(numbers)
    let again = try? JSONField(document: text.bytes).numbers()
    precondition(
        again?.map(\.bitPattern) == numbers.map(\.bitPattern),
        "\(numbers) became \(String(describing: again))")
}

private let limits = JSONLimits(valuesMax: 100_000, stringBytesMax: 1 << 20)

private func outcome(
    _ read: () throws(WireError) -> JSONDocument
) -> Result<JSONDocument, WireError> {
    Result { () throws(WireError) in try read() }
}

private func isSame(
    _ one: Result<JSONDocument, WireError>, _ other: Result<JSONDocument, WireError>
) -> Bool {
    switch (one, other) {
    case (.success(let one), .success(let other)): isSame(one.value, other.value)
    case (.failure(let one), .failure(let other)): one == other
    case (.success, .failure), (.failure, .success): false
    }
}

/// Bit for bit: a NaN is a NaN, and 0 is not -0.
private func isSame(_ one: JSONValue, _ other: JSONValue) -> Bool {
    switch (one, other) {
    case (.number(let one), .number(let other)):
        return one.bitPattern == other.bitPattern
    case (.numbers(let one), .numbers(let other)):
        return one.map(\.bitPattern) == other.map(\.bitPattern)
    case (.array(let one), .array(let other)):
        return one.count == other.count && zip(one, other).allSatisfy(isSame)
    case (.object(let one), .object(let other)):
        return one.count == other.count
            && one.allSatisfy { name, value in other[name].map { isSame(value, $0) } ?? false }
    default:
        return one == other
    }
}

private func read(_ input: [UInt8], pieceBytes: Int) throws(WireError) -> JSONDocument {
    var reader = JSONReader(length: input.count, limits: limits)
    for start in stride(from: 0, to: input.count, by: pieceBytes) {
        // Sound: the reader copies what it keeps of the piece.
        let failure: WireError? =
            unsafe input[start..<min(start + pieceBytes, input.count)].withUnsafeBytes { piece in
                do throws(WireError) {
                    unsafe try reader.append(piece)
                    return nil
                } catch {
                    return error
                }
            }
        if let failure { throw failure }
    }
    return try reader.finish()
}

@Sendable func fuzzSafetensors(_ input: [UInt8]) {
    if let file = try? Safetensors(bytes: input, headerBytesMax: 1 << 16) {
        let count = file.tensors.reduce(0) { $0 + $1.bytes.count }
        precondition(count <= input.count, "tensors of \(count) bytes in \(input.count)")
    }
    if let dict = try? StateDict(safetensors: input, headerBytesMax: 1 << 16) {
        precondition((try? StateDict(safetensors: dict.safetensors)) != nil)
    }
    fuzzHeader(.safetensors, input)
}

@Sendable func fuzzNpy(_ input: [UInt8]) { fuzzHeader(.npy, input) }

/// The header of a streamed body: in one piece, and byte by byte, with the same outcome.
private func fuzzHeader(_ form: Representation, _ input: [UInt8]) {
    func outcome(pieceBytes: Int) -> String {
        guard var reader = VectorHeaderReader(form, bodyBytes: input.count) else {
            preconditionFailure("\(form) has a header")
        }
        var start = 0
        do {
            repeat {
                let end = min(start + pieceBytes, input.count)
                // Sound: the piece lies within the array.
                let (isWhole, taken) = try unsafe input[start..<end].withUnsafeBytes {
                    bytes throws(WireError) in unsafe try reader.take(bytes)
                }
                precondition(taken <= end - start, "took \(taken) of \(end - start) bytes")
                start += taken
                if isWhole { return "\(start): \(try reader.header())" }
            } while start < input.count
            return "incomplete"
        } catch {
            return "\(error)"
        }
    }
    let whole = outcome(pieceBytes: max(1, input.count))
    precondition(outcome(pieceBytes: 1) == whole, "depends on the pieces: \(whole)")
}
