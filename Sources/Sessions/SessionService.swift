// (skeleton: public surface; bodies follow)
public final class SessionService: Sendable {
    public let limits: Limits
    // init(store:limits:metrics:now:)
    // create(_ request: CreateRequest, idempotency: IdempotencyKey?) async throws(SessionError) -> Outcome<SessionView>
    // list(pageSize: Int?, after: PageToken?, label: (key, value)?) async throws(SessionError) -> Page<SessionView-lite SessionSummary>
    // view(_ id: SessionID) async throws(SessionError) -> SessionView
    // update(_ id, _ request: UpdateRequest, precondition: Precondition) async throws(SessionError) -> SessionView
    // delete(_ id, precondition:) async throws(SessionError)
    // beginStep(_ id, idempotency: IdempotencyKey?) async throws(SessionError) -> Outcome<Turn>
    // step(_ id, number:) async throws(SessionError) -> StepView
    // turn(_ id, waitSeconds: Double?) async throws(SessionError) -> Turn        // waits until a step runs
    // tell(_ id, evaluation:, _ request: TellRequest, precondition:) async throws(SessionError) -> Outcome<Turn>
    // stop(_ id, idempotency:) async throws(SessionError) -> Outcome<Turn>
    // parameters(_ id) -> ParametersView ; setParameters(_ id, _ input: ParametersInput, precondition:) -> ParametersView
    // stateDict(_ id) -> (StateDict, EntityTag) ; loadStateDict(_ id, _ dict: StateDict, precondition:) -> (StateDict, EntityTag)
    // createCheckpoint(_ id, name: String?, idempotency:) -> Outcome<CheckpointView>; checkpoints(_ id, pageSize:, after:) -> Page<CheckpointRecord>; checkpoint(_ id, number:) -> CheckpointView; deleteCheckpoint(_ id, number:, precondition:)
    // checkpointStateDict(_ id, number:) -> StateDict; restore(_ id, checkpoint:, idempotency:, precondition?) -> Outcome<Turn>; fork(_ id, checkpoint:, name: String?, labels: [String:String]?, idempotency:) -> Outcome<SessionView>
    // trace(_ id, from: EvaluationNumber, limit: Int) -> [TracePoint]
    // events(_ id, after: EvaluationNumber?) -> AsyncStream<SessionEvent>   // replays what the trace has after it, then live
    // shutdown() async
    init(limits: Limits) { self.limits = limits }
}
