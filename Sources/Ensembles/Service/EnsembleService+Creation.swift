public import Sessions

internal import struct Foundation.Date

extension EnsembleService {
    /// Creates the ensemble and the sessions of all its members in one transaction. Durable when it
    /// returns. O(members * n).
    public func create(
        _ request: EnsembleRequest, tenant: String = SessionRecord.defaultTenant,
        idempotency key: IdempotencyKey? = nil
    ) async throws(SessionError) -> Outcome<EnsembleView> {
        let scope = "ensembles@\(tenant)"
        if let earlier = try await earlier(key, scope: scope) { return earlier }
        try limits.checkDiskReserve(of: sessions.store)
        let count = try await sessions.read { store throws(StoreError) in
            try await store.ensembleCount(of: tenant)
        }
        guard count < limits.ensemblesMax else {
            throw .overloaded(
                limit: .ensembles, maximum: limits.ensemblesMax, retryAfterSeconds: 60)
        }
        let valid = try request.validated(limits)
        var generator = SystemRandomNumberGenerator()
        let time = sessions.now()
        let record = EnsembleRecord(
            id: .random(using: &generator), tenant: tenant, specification: valid.specification,
            createdAt: time)
        let members = try await newSessions(valid, of: record, options: request.options, at: time)
        let idempotency = key.map {
            IdempotencyRecord(
                scope: scope, key: $0.key, requestDigest: $0.requestDigest,
                outcome: record.id.rawValue, createdAt: time)
        }
        do throws(SessionService.InsertionError) {
            try await sessions.insert(members, of: record.id, tenant: tenant) {
                () async throws(StoreError) in
                try await sessions.store.create(
                    record, members: members, idempotency: idempotency)
            }
        } catch {
            switch error {
            case .refused(let refusal): throw refusal
            case .failed(.duplicateKey(let earlier)): return try await replay(earlier, key)
            case .failed(let failure): throw SessionError(failure)
            }
        }
        return Outcome(try await view(record.id))
    }

    /// The sessions of the members, on a background thread if they have many numbers.
    private func newSessions(
        _ valid: ValidEnsemble, of record: EnsembleRecord, options: OptionsPatch, at time: Date
    ) async throws(SessionError) -> [NewSession] {
        let specification = record.specification
        let sessions = sessions
        @Sendable func make() throws(SessionError) -> [NewSession] {
            var made: [NewSession] = []
            for number in 0..<specification.count {
                let request = specification.memberRequest(
                    number, of: record.id, at: valid.start(number), options: options)
                do throws(SessionError) {
                    made.append(try sessions.prepared(request, tenant: record.tenant, at: time))
                } catch {
                    throw valid.isGiven ? error.inStart(number) : error
                }
            }
            return made
        }
        let numbers = specification.count * (specification.parameterCount + 200)
        guard numbers * 8 >= BackgroundWork.bytesMin else { return try make() }
        let result: Result<[NewSession], SessionError> = await sessions.background.run {
            do throws(SessionError) {
                return .success(try make())
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private func earlier(
        _ key: IdempotencyKey?, scope: String
    ) async throws(SessionError) -> Outcome<EnsembleView>? {
        guard let key else { return nil }
        let earlier = try await sessions.read { store throws(StoreError) in
            try await store.idempotencyRecord(scope: scope, key: key.key)
        }
        guard let earlier else { return nil }
        return try await replay(earlier, key)
    }

    private func replay(
        _ earlier: IdempotencyRecord, _ key: IdempotencyKey?
    ) async throws(SessionError) -> Outcome<EnsembleView> {
        guard earlier.requestDigest == key?.requestDigest, let id = EnsembleID(earlier.outcome)
        else { throw .idempotencyKeyReused(earlier.key) }
        return Outcome(try await view(id), isReplay: true)
    }
}

extension EnsembleSpecification {
    /// The label of each member that names its ensemble, and the one with its number.
    static let ensembleLabel = "ensemble"
    static let memberLabel = "member"

    /// The session of a member. In mode robust the box is its bounds; mode torch has none, and
    /// there the box is for the starts alone.
    fileprivate func memberRequest(
        _ number: Int, of id: EnsembleID, at start: [Double], options: OptionsPatch
    ) -> CreateRequest {
        let bounds = options.mode == .robust ? box : nil
        var begin = 0
        var request = CreateRequest(
            parameters: parameters.map { spec in
                let end = begin + spec.count
                defer { begin = end }
                return ParameterInput(
                    name: spec.name, shape: spec.shape, values: Array(start[begin..<end]),
                    bounds: bounds?.bounds(of: begin..<end) ?? BoundsInput())
            })
        request.isShortForm = parameters.count == 1 && parameters[0].name == nil
        request.name = name.map { "\($0) \(number)" }
        request.labels = labels
        request.labels[Self.ensembleLabel] = id.rawValue
        request.labels[Self.memberLabel] = String(number)
        request.dtype = dtype
        request.options = options
        return request
    }
}

extension SessionError {
    /// Names the start that a session's values are.
    fileprivate func inStart(_ number: Int) -> SessionError {
        guard case .invalid(let errors) = self else { return self }
        return .invalid(
            errors.map { error in
                let isValues = error.field == "x0" || error.field.hasPrefix("params")
                return isValues
                    ? FieldError(field: "starts[\(number)]", reason: error.reason) : error
            })
    }
}
