import Foundation
import Sessions
import Testing
import Wire

private func make() -> SessionService {
    SessionService(store: MemoryStore(), now: { Date(timeIntervalSince1970: 1_700_000_000.25) })
}

private func step(
    _ number: StepNumber, of id: SessionID, in service: SessionService
) async throws -> [UInt8] {
    try await service.withSession(id) { try await $0.step(number) }.json(session: id)
}

private let create = """
    {"name": "a\\\\\\"b", "labels": {"team": "flow"},
     "params": [{"name": "w", "shape": [1, 2], "values": [1, 2]}, {"name": "b", "shape": [], \
    "values": [0]}], "options": {"max_iter": 1}}
    """

@Suite("Documents have every field, in order")
struct DocumentTests {
    @Test("of a session")
    func session() async throws {
        let service = make()
        let view = try await service.create(CreateRequest(json: utf8(create))).value
        #expect(
            text(view.json) == """
                {"id":"\(view.record.id)","name":"a\\\\\\"b","labels":{"team":"flow"},\
                "state":"idle","dtype":"float64","n":3,\
                "params":[{"name":"w","shape":[1,2]},{"name":"b","shape":[]}],\
                "options":{"lr":1.0,"max_iter":1,"max_eval":1,"tolerance_grad":1e-07,\
                "tolerance_change":1e-09,"history_size":100,"history_dtype":"float64",\
                "line_search_fn":null,"mode":"torch","noise":null,"tolerance_grad_relative":0.0,\
                "tolerance_loss_relative":0.0,"reuse_evaluation":false,"maximize":false},\
                "bounded":false,"l1":false,"projected":0,"shards":null,\
                "param_groups":[{"index":0,"name":null,"frozen":false,"params":[0,1],\
                "param_names":["w","b"],"count":3}],\
                "step":0,"evaluation":0,"loss":null,"origin":null,"best":null,\
                "mode":"torch","gradient_norm_inf":null,"ensemble":null,\
                "memory_bytes_estimate":\(view.memoryBytesEstimate),\
                "disk_bytes":\(view.diskBytes),"expires_after":null,"expires_at":null,\
                "created_at":"2023-11-14T22:13:20.250000Z",\
                "updated_at":"2023-11-14T22:13:20.250000Z"}
                """)
    }

    @Test("of a list")
    func list() async throws {
        let service = make()
        let id = try await service.create(CreateRequest(json: utf8(create))).value.record.id
        _ = try await service.create(CreateRequest(json: utf8("{\"x0\": [1]}")))
        let first = try await service.list(pageSize: 1)
        let token = try #require(first.next)
        #expect(text(first.json).hasSuffix("\"next_page_token\":\"\(token.text)\"}"))
        let second = try await service.list(pageSize: 1, after: token)
        #expect(
            text(second.json) == """
                {"sessions":[{"id":"\(id)","name":"a\\\\\\"b","labels":{"team":"flow"},\
                "state":"idle","dtype":"float64","n":3,"step":0,"evaluation":0,"loss":null,\
                "origin":null,"best":null,"mode":"torch","gradient_norm_inf":null,\
                "ensemble":null,"expires_at":null,"created_at":"2023-11-14T22:13:20.250000Z",\
                "updated_at":"2023-11-14T22:13:20.250000Z"}],"next_page_token":null}
                """)
    }

    @Test("of a turn, a step, the parameters and a checkpoint")
    func turn() async throws {
        let service = make()
        let id = try await service.create(CreateRequest(json: utf8(create))).value.record.id
        #expect(
            text(try await service.turn(id).json)
                == "{\"session\":\"\(id)\",\"state\":\"idle\",\"step\":0,\"x\":[1.0,2.0,0.0],"
                + "\"result\":null}")
        #expect(
            text(try await service.withSession(id) { try await $0.beginStep() }.value.json)
                == "{\"session\":\"\(id)\",\"state\":\"evaluating\",\"step\":1,"
                + "\"evaluation\":{\"number\":1,\"x\":[1.0,2.0,0.0]},\"iterations\":0}")
        #expect(
            text(try await step(1, of: id, in: service)) == """
                {"session":"\(id)","step":1,"state":"running",\
                "started_at":"2023-11-14T22:13:20.250000Z","ended_at":null,\
                "first_evaluation":null,"last_evaluation":null,"result":null}
                """)
        let zero = try TellRequest(json: utf8("{\"loss\": 0.5, \"gradients\": {\"w\": null}}"))
        let turn = try await service.tell(id, evaluation: 1, zero).value
        let result = """
            {"reason":"gradient_tolerance","converged":true,"loss_before":0.5,"loss":0.5,\
            "iterations":0,"evaluations":1,"gradient_norm_inf":0.0}
            """
        #expect(
            text(turn.json)
                == "{\"session\":\"\(id)\",\"state\":\"idle\",\"step\":1,\"x\":[1.0,2.0,0.0],"
                + "\"result\":\(result)}")
        #expect(
            text(try await step(1, of: id, in: service)) == """
                {"session":"\(id)","step":1,"state":"ended",\
                "started_at":"2023-11-14T22:13:20.250000Z",\
                "ended_at":"2023-11-14T22:13:20.250000Z","first_evaluation":1,\
                "last_evaluation":1,"result":\(result)}
                """)
        #expect(
            text(try await service.withSession(id) { try await $0.parameters() }.json) == """
                {"dtype":"float64","params":[{"name":"w","shape":[1,2],"values":[1.0,2.0]},\
                {"name":"b","shape":[],"values":[0.0]}]}
                """)
        let checkpoint = try await service.createCheckpoint(id, name: "a").value
        #expect(
            text(checkpoint.json) == """
                {"id":"1","session":"\(id)","name":"a","state":"idle","step":1,"evaluation":1,\
                "loss":0.5,"keep":false,"created_at":"2023-11-14T22:13:20.250000Z"}
                """)
    }
}

@Suite("A turn in the middle of a step")
struct RunningTurnTests {
    @Test("says how many iterations have ended, and the loss that they have reached")
    func progress() async throws {
        let service = make()
        let options = """
            {"x0": [3], "options": {"max_iter": 5, "line_search_fn": "strong_wolfe"}}
            """
        let id = try await service.create(CreateRequest(json: utf8(options))).value.record.id
        _ = try await service.withSession(id) { try await $0.beginStep() }
        // x^2: the first trial is at 2, in the first iteration; the next at 0, in the second.
        func tell(_ number: Int, _ loss: Double, _ slope: Double) async throws -> Turn {
            let json = utf8("{\"loss\": \(loss), \"gradient\": [\(slope)]}")
            return try await service.tell(id, evaluation: number, TellRequest(json: json)).value
        }
        let first = try await tell(1, 9, 6)
        #expect(first.iterations == 0 && first.loss == 9)
        #expect(text(first.json).hasSuffix("},\"iterations\":0,\"loss\":9.0}"))
        let second = try await tell(2, 4, 4)
        #expect(second.iterations == 1 && second.loss == 4)
        let fields = Dictionary(
            uniqueKeysWithValues: second.octetFields.map { ($0.name, $0.value) })
        #expect(fields["Lbfgsd-Iterations"] == "1" && fields["Lbfgsd-Loss"] == "4.0")
        let ended = try await tell(3, 0, 0)
        #expect(ended.phase == .idle && ended.iterations == nil && ended.loss == nil)
        #expect(ended.result?.iterations == 2)
    }
}

@Suite("Parameters that were read")
struct ReadParametersTests {
    @Test("can be sent back, with their form checked")
    func parametersComeBack() async throws {
        let service = make()
        let view = try await service.create(CreateRequest(json: utf8(create))).value
        let document = try ParametersDocument(
            json: try await service.withSession(view.record.id) { try await $0.parameters() }.json)
        #expect(document.input == .named(["w": [1, 2], "b": [0]]))
        #expect(document.mismatches(with: view.record) == [])
        let other = try ParametersDocument(
            json: utf8(
                """
                {"dtype": "float32", "params": [{"name": "w", "shape": [2, 1], "values": [1, 2]}]}
                """))
        #expect(other.mismatches(with: view.record).map(\.field) == ["dtype", "params.w"])
    }
}

@Suite("A page token")
struct PageTokenTests {
    @Test("comes back as it went", arguments: [0, 1, -1, 255, Int64.max, Int64.min])
    func roundTrip(below: Int64) {
        let token = PageToken(below: below)
        #expect(token.text.utf8.count == 11)
        #expect(PageToken(text: token.text) == token)
    }

    @Test(
        "that nobody gave out is none",
        arguments: [
            "", "a", "AAAAAAAAAAA=", "AAAAAAAAAAB", "AAAAAAAAAA", "////////8A", "ä",
            " ",
        ])
    func foreign(text: String) {
        #expect(PageToken(text: text) == nil)
    }
}
