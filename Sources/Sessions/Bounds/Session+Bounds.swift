internal import LBFGS

internal import struct Foundation.Date

extension SessionState {
    /// Between steps, and with bounds that were checked. The parameters are projected, and the
    /// history stays.
    mutating func setBounds(
        _ bounds: SessionBounds, at time: Date
    ) throws(BoundsError) -> (change: Change, projected: Int) {
        let hadWeights = engine.sessionBounds.hasL1
        let projected = try engine.set(bounds)
        storedBounds = [:]
        // With another L1 term the loss is another function.
        if hadWeights || bounds.hasL1 { scalars.best = nil }
        return (Change(entry: entry(.boundsChanged, at: time)), projected)
    }

    /// Refuses options that a session with bounds cannot have.
    func check(_ options: Options) throws(SessionError) {
        do throws(OptionError) {
            try engine.check(options)
        } catch {
            throw .invalid([FieldError(field: "options.\(error.option)", reason: error.reason)])
        }
    }
}

extension Session {
    public func bounds() async throws(CallError) -> BoundsView {
        try await exclusively { () async throws(SessionError) in boundsView(projected: nil) }
    }

    /// How many parameters new bounds are of. Throws what setting them would, as far as that can be
    /// known without the body.
    public func countToBeBounded() throws(CallError) -> Int {
        do throws(SessionError) {
            try checkIdle()
        } catch {
            throw .failed(error)
        }
        return turn.x.count
    }

    private func boundsView(projected: Int?) -> BoundsView {
        BoundsView(
            specs: state.layout.parameters, dtype: state.dtype, count: state.layout.count,
            bounds: state.engine.sessionBounds.input, projected: projected, tag: turn.tag)
    }

    /// Replaces all bounds and L1 weights. Between steps only. The history stays. O(n).
    public func setBounds(
        _ request: BoundsRequest, idempotency key: IdempotencyKey? = nil,
        precondition: Precondition = .none
    ) async throws(CallError) -> Outcome<BoundsView> {
        try await exclusively(changing: true) { () async throws(SessionError) in
            if let earlier = try await earlier(key, scope: "bounds") {
                return Outcome(boundsView(projected: Int(earlier.outcome)), isReplay: true)
            }
            try check(precondition)
            try checkIdle()
            let tensors = try state.bounds(request)
            let options = state.engine.options
            let footprint = BoundsFootprint(tensors.tensors.map(\.bounds))
            try limits.checkHistoryFitsMemory(
                count: state.layout.count, dtype: state.dtype, options: options,
                shardCount: state.scalars.shardCount, bounds: footprint)
            try limits.checkDiskReserve(
                of: store, writing: footprint.vectors * state.layout.count * state.dtype.size)
            let bounds = try tensors.made(as: state.dtype, options.mode)
            let time = now()
            let (change, projected): (SessionState.Change, Int)
            do throws(BoundsError) {
                (change, projected) = try state.setBounds(bounds, at: time)
            } catch {
                throw .invalid([FieldError(field: error.field.rawValue, reason: error.reason)])
            }
            try await commit(
                change,
                idempotencyRecord(key, scope: "bounds", outcome: "\(projected)", at: time))
            return Outcome(boundsView(projected: projected))
        }
    }

    /// The bounds that are active, from the parameter with index `first` on, `limit` at most, with
    /// their multipliers: the gradient of the client's loss there. O(n).
    public func activeSet(from first: Int, limit: Int) async throws(CallError) -> ActiveSetView {
        try await exclusively { () async throws(SessionError) in
            let active = state.engine.activeSet(from: first, limit: limit + 1)
            let x = state.engine.parameterVector
            var places = ParameterPlaces(state.layout)
            let sign: Double = state.scalars.isMaximizing ? -1 : 1
            return ActiveSetView(
                session: id, count: state.engine.activeBoundCount,
                entries: active.prefix(limit).map { bound in
                    var bound = bound
                    bound.multiplier = bound.multiplier.map { $0 == 0 ? 0 : sign * $0 }
                    let (parameter, offset) = places.place(of: bound.index)
                    return ActiveSetView.Entry(
                        bound: bound, parameter: parameter, offset: offset,
                        value: x.double(at: bound.index))
                }, next: active.count > limit ? active[limit].index : nil, tag: turn.tag)
        }
    }
}

/// Finds the tensors of numbers whose indices rise.
private struct ParameterPlaces {
    private let specs: [ParameterSpec]
    private var tensor = 0
    private var start = 0

    init(_ layout: Layout) { specs = layout.parameters }

    mutating func place(of index: Int) -> (parameter: String, offset: Int) {
        while index >= start + specs[tensor].count {
            start += specs[tensor].count
            tensor += 1
        }
        return (specs[tensor].name(at: tensor), index - start)
    }
}

extension Vector {
    fileprivate func double(at index: Int) -> Double {
        switch self {
        case .float64(let values): values[index]
        case .float32(let values): Double(values[index])
        }
    }
}
