import Foundation
import SessionModel
import Testing
import Wire

private func make(
    _ evaluation: Int = 1, loss: Double? = 2.5, norm: Double? = 1, time: Double = 0
) -> TracePoint {
    TracePoint(
        evaluation: evaluation, step: 1, iteration: 0, loss: loss, gradientNormInf: norm,
        stepLength: 0, time: Date(timeIntervalSince1970: time))
}

private let line = """
    {"evaluation":1,"step":1,"iteration":0,"loss":2.5,"gradient_norm_inf":1.0,"step_length":0.0,\
    "time":"1970-01-01T00:00:00.000000Z","slope":null,"start_loss":null,"start_slope":null,\
    "accepted_step_length":null,"accepted":null}
    """

private func session() throws -> SessionID {
    try #require(SessionID("s00000000000000000000"))
}

@Suite("A trace")
struct TraceTests {
    @Test("in JSON says where to go on")
    func json() throws {
        #expect(
            text([make()].json(session: try session(), next: 2)) == """
                {"session":"s00000000000000000000","trace":[\(line)],"next":2}
                """)
        #expect(
            text([TracePoint]().json(session: try session(), next: nil)) == """
                {"session":"s00000000000000000000","trace":[],"next":null}
                """)
    }

    @Test("in NDJSON has one document a line")
    func ndjson() {
        #expect(text([make(), make()].ndjson) == "\(line)\n\(line)\n")
    }

    @Test("in CSV leaves out what a failed evaluation lacks")
    func csv() {
        let trace = [make(), make(2, loss: nil, norm: nil), make(3, loss: .nan, norm: .infinity)]
        #expect(
            text(trace.csv) == """
                evaluation,step,iteration,loss,gradient_norm_inf,step_length,time\r
                1,1,0,2.5,1.0,0.0,1970-01-01T00:00:00.000000Z\r
                2,1,0,,,0.0,1970-01-01T00:00:00.000000Z\r
                3,1,0,NaN,Infinity,0.0,1970-01-01T00:00:00.000000Z\r\n
                """)
    }

    @Test("as events can be resumed after each evaluation")
    func events() throws {
        let id = try session()
        #expect(
            text(ServerSentEvent.session(.evaluation(make()), of: id).bytes)
                == "event: evaluation\nid: 1\ndata: \(line)\n\n")
        #expect(text(ServerSentEvent.retry(milliseconds: 1000).bytes) == "retry: 1000\n\n")
        #expect(text(ServerSentEvent.session(.heartbeat, of: id).bytes) == ": \n\n")
        let record = StepRecord(
            number: 1, startedAt: Date(timeIntervalSince1970: 0),
            endedAt: Date(timeIntervalSince1970: 1), firstEvaluation: 1, lastEvaluation: 2,
            result: StepResult(
                reason: .stopped, lossBefore: .nan, loss: nil, gradientNormInf: nil,
                iterations: 0, evaluations: 2))
        #expect(
            text(ServerSentEvent.session(.step(record), of: id).bytes) == """
                event: step
                data: {"session":"s00000000000000000000","step":1,"state":"ended",\
                "started_at":"1970-01-01T00:00:00.000000Z",\
                "ended_at":"1970-01-01T00:00:01.000000Z","first_evaluation":1,\
                "last_evaluation":2,"result":{"reason":"stopped","converged":false,\
                "loss_before":"NaN","loss":null,"iterations":0,"evaluations":2,\
                "gradient_norm_inf":null}}\n\n
                """)
    }
}

@Suite("A time")
struct TimestampTests {
    @Test(
        "is RFC 3339 to the microsecond",
        arguments: [
            (0, "1970-01-01T00:00:00.000000Z"), (0.000001, "1970-01-01T00:00:00.000001Z"),
            (0.9999996, "1970-01-01T00:00:01.000000Z"), (-0.5, "1969-12-31T23:59:59.500000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (1_709_251_199.5, "2024-02-29T23:59:59.500000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
            (-2_208_988_800, "1900-01-01T00:00:00.000000Z"),
        ])
    func rfc3339(seconds: Double, expected: String) {
        #expect(text([make(time: seconds)].csv).contains(",\(expected)\r\n"))
    }

    @Test("agrees with the calendar on every day of two centuries")
    func calendar() {
        var civil = Calendar(identifier: .gregorian)
        civil.timeZone = .gmt
        for day in -25_567..<47_500 {
            let date = Date(timeIntervalSince1970: Double(day) * 86_400)
            let parts = civil.dateComponents([.year, .month, .day], from: date)
            let expected = String(
                format: "%04d-%02d-%02dT", parts.year ?? 0, parts.month ?? 0, parts.day ?? 0)
            #expect(text([make(time: Double(day) * 86_400)].ndjson).contains(expected))
        }
    }
}
