public import CLbfgsd
internal import LBFGS

/// Writes a result to memory of the caller, whose field `size` says how much there is.
private func write(
    _ engine: any SteppingEngine, to result: UnsafeMutablePointer<lbfgsd_result>
) throws(LibraryError) {
    try unsafe requireSize(of: result)
    unsafe result.pointee = try engine.result()
}

/// Checks the field `size` of a result.
func requireSize(of result: UnsafeMutablePointer<lbfgsd_result>) throws(LibraryError) {
    // The first field, which every version of the structure has.
    let size = unsafe UnsafeRawPointer(result).load(as: Int.self)
    guard size == MemoryLayout<lbfgsd_result>.size else {
        throw LibraryError(
            LBFGSD_ERROR_SIZE, "result.size is \(size), not \(MemoryLayout<lbfgsd_result>.size)")
    }
}

@c @implementation
public func lbfgsd_get_result(
    _ optimizer: OpaquePointer!, _ result: UnsafeMutablePointer<lbfgsd_result>!,
    _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        try unsafe write(EngineHandle.of(optimizer).engine, to: required(result, "result"))
        return LBFGSD_OK
    }
}

@c @implementation
public func lbfgsd_reason_name(_ reason: Int32) -> UnsafePointer<CChar>! {
    guard Reason.names.indices.contains(Int(reason)) else { return nil }
    return unsafe characters(of: Reason.names[Int(reason)])
}

private let statusNames: [(lbfgsd_status, StaticString)] = [
    (LBFGSD_OK, "LBFGSD_OK"), (LBFGSD_EVALUATE, "LBFGSD_EVALUATE"),
    (LBFGSD_FINISHED, "LBFGSD_FINISHED"), (LBFGSD_ERROR_NULL, "LBFGSD_ERROR_NULL"),
    (LBFGSD_ERROR_COUNT, "LBFGSD_ERROR_COUNT"),
    (LBFGSD_ERROR_NOT_FINITE, "LBFGSD_ERROR_NOT_FINITE"),
    (LBFGSD_ERROR_OPTION, "LBFGSD_ERROR_OPTION"), (LBFGSD_ERROR_BOUNDS, "LBFGSD_ERROR_BOUNDS"),
    (LBFGSD_ERROR_ORDER, "LBFGSD_ERROR_ORDER"),
    (LBFGSD_ERROR_PRECISION, "LBFGSD_ERROR_PRECISION"),
    (LBFGSD_ERROR_SNAPSHOT, "LBFGSD_ERROR_SNAPSHOT"),
    (LBFGSD_ERROR_MEMORY, "LBFGSD_ERROR_MEMORY"), (LBFGSD_ERROR_ROOM, "LBFGSD_ERROR_ROOM"),
    (LBFGSD_ERROR_SIZE, "LBFGSD_ERROR_SIZE"), (LBFGSD_ERROR_STATE, "LBFGSD_ERROR_STATE"),
]

@c @implementation
public func lbfgsd_status_name(_ status: Int32) -> UnsafePointer<CChar>! {
    guard let name = statusNames.first(where: { $0.0.rawValue == status })?.1 else { return nil }
    return unsafe characters(of: name)
}

@c @implementation
public func lbfgsd_x(_ optimizer: OpaquePointer!) -> UnsafePointer<Double>! {
    unsafe EngineHandle.optional(optimizer)?.float64?.x
}

@c @implementation
public func lbfgsd_x_f32(_ optimizer: OpaquePointer!) -> UnsafePointer<Float>! {
    unsafe EngineHandle.optional(optimizer)?.float32?.x
}

@c @implementation
public func lbfgsd_x_gradient(_ optimizer: OpaquePointer!) -> UnsafePointer<Double>! {
    unsafe EngineHandle.optional(optimizer)?.float64?.xGradient
}

@c @implementation
public func lbfgsd_x_gradient_f32(_ optimizer: OpaquePointer!) -> UnsafePointer<Float>! {
    unsafe EngineHandle.optional(optimizer)?.float32?.xGradient
}

@c @implementation
public func lbfgsd_get_active_bounds(
    _ optimizer: OpaquePointer!, _ active: UnsafeMutablePointer<lbfgsd_active_bound>!,
    _ capacity: Int, _ count: UnsafeMutablePointer<Int>!,
    _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let engine = try unsafe EngineHandle.of(optimizer).engine
        let count = try unsafe required(count, "count")
        let found = engine.activeSet()
        unsafe count.pointee = found.count
        guard capacity != 0 else { return LBFGSD_OK }
        let active = try unsafe required(active, "active")
        let room = Int(clamping: UInt(bitPattern: capacity))
        for (index, bound) in found.prefix(room).enumerated() {
            let side: Int64 =
                switch bound.side {
                case .lower: -1
                case .fixed: 0
                case .upper: 1
                }
            unsafe active[index] = lbfgsd_active_bound(
                index: bound.index, side: side, multiplier: bound.multiplier ?? .nan)
        }
        return LBFGSD_OK
    }
}

@c @implementation
public func lbfgsd_get_pairs(
    _ optimizer: OpaquePointer!, _ s: UnsafeMutablePointer<Double>!,
    _ y: UnsafeMutablePointer<Double>!, _ capacity: Int, _ count: UnsafeMutablePointer<Int>!,
    _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let engine = try unsafe EngineHandle.float64(optimizer)
        let count = try unsafe required(count, "count")
        let pairs = engine.optimizer.snapshot.pairs
        unsafe count.pointee = pairs.count
        guard capacity != 0 else { return LBFGSD_OK }
        let (s, y) = (try unsafe required(s, "s"), try unsafe required(y, "y"))
        let room = Int(clamping: UInt(bitPattern: capacity))
        let n = engine.count
        for (index, pair) in pairs.prefix(room).enumerated() {
            // Sound: the caller has memory for `capacity` vectors of n numbers.
            unsafe (s + index * n).update(from: pair.s, count: n)
            unsafe (y + index * n).update(from: pair.y, count: n)
        }
        return LBFGSD_OK
    }
}
