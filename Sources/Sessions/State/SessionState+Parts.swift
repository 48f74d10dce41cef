internal import struct Foundation.Date
internal import LBFGS

// Events on parts of a session: groups of parameters, shards of an evaluation, the state dict.

extension SessionState {
    /// torch's `add_param_group`; here the run goes on.
    /// - Precondition: idle, and valid parameters.
    mutating func addGroup(
        _ specs: [ParameterSpec], values: Vector, bounds: SessionBounds, name: String?,
        at time: Date
    ) -> Change {
        engine.append(values, bounds)
        scalars.layout.append(specs, name: name)
        // Every pair and every vector of bounds has become longer.
        storedPairs = [:]
        storedBounds = [:]
        return Change(entry: entry(.groupAdded, at: time))
    }

    /// - Precondition: idle.
    mutating func changeGroup(
        _ group: Int, name: String?, isFrozen: Bool, at time: Date
    ) -> Change {
        scalars.layout.change(group, name: name, isFrozen: isFrozen)
        engine.freeze(layout.frozenRanges)
        return Change(entry: entry(.groupChanged, at: time))
    }

    /// Loads a dict that was checked; its names replace the parameters', if it has any.
    /// - Precondition: idle.
    mutating func load(_ dict: StateDict, options: Options) throws(TorchStateError) {
        try engine.loadFromDoubles(dict.state)
        engine.options = options
        // The pairs are other ones now, under numbers that may have been used.
        storedPairs = [:]
        let names = dict.groups.compactMap(\.paramNames).flatMap { $0 }
        if names.count == layout.parameters.count { scalars.layout.rename(names) }
        for (index, group) in dict.groups.enumerated() {
            let name = group.name ?? layout.groups[index].name
            let isFrozen = group.isFrozen ?? layout.groups[index].isFrozen
            scalars.layout.change(index, name: name, isFrozen: isFrozen)
        }
        engine.freeze(layout.frozenRanges)
    }
}

// MARK: - Shards

extension SessionState {
    /// Takes one part of the pending evaluation; the last one concludes it.
    /// - Precondition: it hasn't been delivered.
    mutating func deliver(
        _ result: ShardResult, asShard shard: Int, at time: Date
    ) -> Change {
        let payload = Octets(StateCodec.encode(shard: shard, result))
        shards[shard] = result
        guard shards.isComplete else {
            return Change(entry: entry(.shardTold, at: time, payload: payload))
        }
        return conclude(shards.sum(as: dtype), as: .shardTold, payload: payload, at: time)
    }

    /// torch's `zero_grad`: what was accumulated is absent again, or counts as zeros.
    /// - Precondition: an evaluation is pending.
    mutating func dropShards(setToNone: Bool, at time: Date) -> Change {
        if setToNone {
            shards.removeAll()
            scalars.leases.removeAll()
        } else {
            for shard in shards.delivered.keys { shards[shard] = .zeros(count: layout.count) }
        }
        let payload: Octets = [setToNone ? 1 : 0]
        return Change(entry: entry(.shardsDropped, at: time, payload: payload))
    }

    /// - Precondition: an evaluation is pending.
    mutating func lease(_ lease: LeaseRecord, at time: Date) -> Change {
        scalars.leases.add(lease)
        let payload = Octets(StateCodec.encode(lease))
        return Change(entry: entry(.leased, at: time, payload: payload))
    }
}
