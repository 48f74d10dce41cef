import Foundation
import HTTPServer
import HTTPTypes
import Sessions
import Testing

/// A form of body that goes into a vector while it comes.
private enum Form: String, CaseIterable {
    case octets = "application/octet-stream"
    case safetensors = "application/vnd.safetensors"
    case npy = "application/x-npy"
}

private func littleEndian(_ numbers: [Double]) -> [UInt8] {
    numbers.flatMap { number in
        (0..<8).map { UInt8(truncatingIfNeeded: number.bitPattern >> (8 * $0)) }
    }
}

/// What a tensor of a file has; `shape` as JSON has it.
private struct Tensor {
    var name: String
    var shape: String
    var numbers: [Double]
    var dtype = "F64"
}

/// - Parameter text: How much of it the header has besides.
private func file(_ tensors: [Tensor], text: Int = 2) -> [UInt8] {
    var begin = 0
    let entries = tensors.map { tensor in
        let end = begin + tensor.numbers.count * 8
        defer { begin = end }
        return "\"\(tensor.name)\":{\"dtype\":\"\(tensor.dtype)\",\"shape\":\(tensor.shape),"
            + "\"data_offsets\":[\(begin),\(end)]}"
    }
    let metadata = String(repeating: "x", count: text)
    let members = ["\"__metadata__\":{\"format\":\"\(metadata)\"}"] + entries
    let header = Array("{\(members.joined(separator: ","))}".utf8)
    let length = (0..<8).map { UInt8(truncatingIfNeeded: header.count >> (8 * $0)) }
    return length + header + littleEndian(tensors.flatMap(\.numbers))
}

private func array(_ numbers: [Double], descr: String = "<f8", shape: String? = nil) -> [UInt8] {
    let shape = shape ?? "(\(numbers.count),)"
    let header = Array("{'descr': '\(descr)', 'fortran_order': False, 'shape': \(shape)}\n".utf8)
    return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.count), 0] + header
        + littleEndian(numbers)
}

private let w = Tensor(name: "w", shape: "[2,2]", numbers: [1, 2, -3, 4])
private let b = Tensor(name: "b", shape: "[]", numbers: [5])
private let v = Tensor(name: "v", shape: "[3]", numbers: [6, -0.0, 8])
private let u = Tensor(name: "u", shape: "[1]", numbers: [0])
private let flat = w.numbers + b.numbers + v.numbers

/// A body that may or may not be what the session expects.
struct VectorBody: CustomTestStringConvertible, Sendable {
    var testDescription: String
    fileprivate var form: Form
    var body: [UInt8]

    fileprivate init(_ what: String, _ form: Form, _ body: [UInt8]) {
        testDescription = what
        self.form = form
        self.body = body
    }

    static func named(_ description: String) -> VectorBody {
        guard let body = all.first(where: { $0.testDescription == description }) else {
            preconditionFailure("no body is \(description)")
        }
        return body
    }

    static let all: [VectorBody] = [
        VectorBody("in order", .safetensors, file([w, b, v])),
        VectorBody("reordered", .safetensors, file([v, w, b])),
        VectorBody("the other way round", .safetensors, file([v, b, w])),
        VectorBody("one absent", .safetensors, file([v, w])),
        VectorBody("one there", .safetensors, file([b])),
        VectorBody("none there", .safetensors, file([])),
        VectorBody(
            "an unknown name", .safetensors,
            file([w, u])),
        VectorBody(
            "another shape", .safetensors,
            file([w, Tensor(name: "v", shape: "[1,3]", numbers: [1, 2, 3])])),
        VectorBody(
            "another precision", .safetensors,
            file([w, Tensor(name: "v", shape: "[6]", numbers: [1, 2, 3], dtype: "F32")])),
        VectorBody(
            "half precision", .safetensors,
            file([w, Tensor(name: "v", shape: "[12]", numbers: [1, 2, 3], dtype: "F16")])),
        VectorBody(
            "an unknown type", .safetensors,
            file([Tensor(name: "b", shape: "[1]", numbers: [1], dtype: "I64")])),
        VectorBody(
            "a tensor too short", .safetensors,
            file([Tensor(name: "w", shape: "[2,3]", numbers: [1, 2])])),
        VectorBody("bytes behind", .safetensors, file([w, b, v]) + [0, 0]),
        VectorBody("cut off", .safetensors, Array(file([w, b, v]).dropLast())),
        VectorBody("cut off in the header", .safetensors, Array(file([w, b, v]).prefix(50))),
        VectorBody("cut off in the length", .safetensors, Array(file([w, b, v]).prefix(5))),
        VectorBody("a header too long", .safetensors, [1, 0, 0, 1, 0, 0, 0, 0] + file([w])),
        VectorBody("no JSON", .safetensors, [3, 0, 0, 0, 0, 0, 0, 0] + Array("{x}".utf8)),
        VectorBody(
            "not finite", .safetensors,
            file([w, b, Tensor(name: "v", shape: "[3]", numbers: [1, .nan, 2])])),
        VectorBody("behind a long header", .safetensors, file([v, w, b], text: 9000)),
        VectorBody("wrong in a long header", .safetensors, file([v, v, b], text: 9000)),
        VectorBody("no parameter of a long header", .safetensors, file([v, u, b], text: 9000)),
        VectorBody("behind a huge header", .safetensors, file([v, w, b], text: 300_000)),
        VectorBody("too much behind a huge header", .safetensors, file([w], text: 300_000) + [0]),
        VectorBody("no parameter of a huge header", .safetensors, file([u], text: 300_000)),
        VectorBody("an array", .npy, array(flat)),
        VectorBody("an array of another shape", .npy, array(flat, shape: "(2, 4)")),
        VectorBody("an array too short", .npy, array(flat.dropLast())),
        VectorBody("an array too long", .npy, array(flat + [1])),
        VectorBody(
            "an array of another precision", .npy, array(flat, descr: "<f4", shape: "(16,)")),
        VectorBody("an array of another order", .npy, array(flat, descr: ">f8")),
        VectorBody("an array that says less", .npy, array(flat, shape: "(7,)")),
        VectorBody("an array that says more", .npy, array(flat, shape: "(9,)")),
        VectorBody("an array cut off", .npy, Array(array(flat).dropLast(3))),
        VectorBody("an array cut off in its header", .npy, Array(array(flat).prefix(40))),
        VectorBody("no array", .npy, Array("nonsense".utf8)),
        VectorBody("an array with infinity", .npy, array(flat.dropLast() + [.infinity])),
        VectorBody("octets", .octets, littleEndian(flat)),
    ]
}

/// What a client can tell by: the answer without what is another in each session.
private struct Seen: Equatable, CustomStringConvertible {
    var status: Int
    var text: String
    var isReplay: Bool

    init(_ answer: Answer, _ session: String) {
        status = answer.status
        let id = session.split(separator: "/").last.map(String.init) ?? ""
        text = answer.text.replacingOccurrences(of: id, with: "ID")
        isReplay = answer["Idempotent-Replayed"] == "true"
    }

    var description: String { "\(status) \(text)" }
}

@Suite("A body that goes into its vector while it comes")
struct StreamedBodyTests {
    private static let parameters =
        "{\"params\": [{\"name\": \"w\", \"shape\": [2, 2], \"fill\": 1}, "
        + "{\"name\": \"b\", \"shape\": [], \"fill\": 2}, "
        + "{\"name\": \"v\", \"shape\": [3], \"fill\": 3}], "
        + "\"options\": {\"line_search_fn\": \"strong_wolfe\"}"

    /// Which way of telling it goes.
    private enum Target: String, CaseIterable {
        case result = "/evaluations/1/result?loss=2.5"
        case resultWithoutLoss = "/evaluations/1/result"
        case shard = "/evaluations/1/shards/0?loss=2.5"
        case unknownShard = "/evaluations/1/shards/7?loss=2.5"
        case parameters = "/params"
    }

    /// Creates a session, sends the body to it twice, and says what was answered and how the
    /// session stands.
    private func transcript(
        _ body: VectorBody, to target: Target, cutAt cuts: [Int]?, headers: [String: String] = [:]
    ) async throws -> [Seen] {
        let harness = Harness()
        let shards = target == .shard || target == .unknownShard ? ", \"shards\": 2}" : "}"
        let session = try await harness.create(Self.parameters + shards)
        if target != .parameters {
            #expect(try await harness.call(.post, session + "/steps").status == 201)
        }
        var seen: [Seen] = []
        let headers = headers.merging(["Content-Type": body.form.rawValue]) { $1 }
        for _ in 0..<2 {
            seen.append(
                Seen(
                    try await harness.call(
                        .put, session + target.rawValue, body.body, headers: headers, cutAt: cuts),
                    session))
        }
        seen.append(Seen(try await harness.call(.get, session + "/evaluation"), session))
        seen.append(Seen(try await harness.call(.get, session + "/params"), session))
        return seen
    }

    @Test("comes to the same, right or wrong, as one that was collected", arguments: VectorBody.all)
    func same(body: VectorBody) async throws {
        for target in Target.allCases {
            let collected = try await transcript(body, to: target, cutAt: nil)
            let count = body.body.count
            let bytes = Array(1..<count)
            for cuts in [[], bytes, [count / 3], [min(9, count - 1), count - 1]] {
                let streamed = try await transcript(body, to: target, cutAt: cuts)
                #expect(streamed == collected, "\(target) \(cuts.count)")
            }
        }
    }

    @Test(
        "may be cut anywhere",
        arguments: ["reordered", "one absent", "an unknown name", "an array"].map(VectorBody.named))
    func everywhere(body: VectorBody) async throws {
        let collected = try await transcript(body, to: .result, cutAt: nil)
        for cut in 0...body.body.count {
            #expect(try await transcript(body, to: .result, cutAt: [cut]) == collected, "\(cut)")
        }
    }

    @Test(
        "is compared with its digest first",
        arguments: ["reordered", "an unknown name", "cut off"].map(VectorBody.named))
    func digest(body: VectorBody) async throws {
        let wrong = ["Content-Digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"]
        for headers in [wrong, ["Content-Digest": "sha-256"]] {
            let streamed = try await transcript(
                body, to: .result, cutAt: [20], headers: headers)
            #expect(streamed[0].status == 400)
            #expect(
                try await transcript(body, to: .result, cutAt: nil, headers: headers) == streamed)
        }
    }

    @Test("has the point that octets lead to, and is a replay of them")
    func asOctets() async throws {
        var seen: [Seen] = []
        let whats = ["in order", "reordered", "the other way round", "an array", "octets"]
        for body in whats.map(VectorBody.named) {
            let harness = Harness()
            let session = try await harness.create(Self.parameters + "}")
            _ = try await harness.call(.post, session + "/steps")
            let target = session + Target.result.rawValue
            let told = try await harness.call(
                .put, target, body.body, headers: ["Content-Type": body.form.rawValue], cutAt: [60])
            #expect(told.status == 200, "\(body): \(told.text)")
            seen.append(Seen(told, session))
            let again = try await harness.call(
                .put, target, littleEndian(flat), headers: ["Content-Type": Form.octets.rawValue])
            #expect(again["Idempotent-Replayed"] == "true")
        }
        #expect(seen.allSatisfy { $0 == seen[0] })
    }

    @Test("may repeat what was told, and is refused when nobody waits for it")
    func past() async throws {
        let harness = Harness()
        let session = try await harness.create(Self.parameters + "}")
        _ = try await harness.call(.post, session + "/steps")
        func tell(_ body: [UInt8], _ form: Form, _ evaluation: Int = 1) async throws -> Answer {
            try await harness.call(
                .put, session + "/evaluations/\(evaluation)/result?loss=1", body,
                headers: ["Content-Type": form.rawValue], cutAt: [12])
        }
        #expect(try await tell(file([v, w, b]), .safetensors).status == 200)
        #expect(
            try await tell(file([v, w, b]), .safetensors, 3).problem == "evaluation-not-reached")
        _ = try await harness.call(.post, session + "/stop")
        #expect(try await tell(file([v, w, b]), .safetensors, 2).problem == "evaluation-closed")
        _ = try await harness.call(
            .post, session + "/param-groups",
            "{\"params\": [{\"name\": \"u\", \"shape\": [2], \"fill\": 1}]}")
        for (body, form) in [(file([b, v, w]), Form.safetensors), (array(flat), .npy)] {
            let again = try await tell(body, form)
            #expect(again.status == 200 && again["Idempotent-Replayed"] == "true", "\(again.text)")
        }
        let longer = Tensor(name: "u", shape: "[2]", numbers: [1, 2])
        #expect(try await tell(file([longer, w, b, v]), .safetensors).problem == "already-told")
        #expect(try await tell(file([w, b]), .safetensors).problem == "already-told")
        #expect(try await tell(array([1]), .npy).problem == "already-told")
        #expect(try await tell(array(flat + flat), .npy).problem == "already-told")
    }

    @Test("is misplaced by nothing that changes while it comes")
    func changing() async throws {
        let harness = Harness()
        let session = try await harness.create(Self.parameters + "}")
        let id = try #require(SessionID(String(session.split(separator: "/").last ?? "")))
        let expected = try await harness.service.withSession(id) {
            try await $0.expectedParameters(bytes: nil)
        }
        let header = VectorHeader.tensors([
            .init(name: "v", header: TensorHeader(dtype: .float64, shape: [3])),
            .init(name: "w", header: TensorHeader(dtype: .float64, shape: [2, 2])),
            .init(name: "b", header: TensorHeader(dtype: .float64, shape: [])),
        ])
        let vector = try harness.service.arriving(expected, header)
        // Sound: the buffer is used within the call.
        unsafe littleEndian(flat).withUnsafeBytes { unsafe _ = vector.append($0) }
        _ = try await harness.call(
            .post, session + "/param-groups",
            "{\"params\": [{\"name\": \"u\", \"shape\": [2], \"fill\": 1}]}")
        let arrived = try #require(await vector.take())
        await #expect(throws: SessionError.self) {
            try await harness.service.withSession(id) {
                try await $0.setParameters(.received(arrived))
            }
        }
    }
}
