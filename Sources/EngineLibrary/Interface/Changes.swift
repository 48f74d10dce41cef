public import CLbfgsd
internal import LBFGS

/// The `count` numbers at a pointer; none for NULL.
private func values(
    _ pointer: UnsafePointer<Double>?, count: Int
) -> ParameterValues<Double> {
    guard let pointer = unsafe pointer else { return .none }
    // Sound: the caller has n numbers there.
    return unsafe .each(Array(UnsafeBufferPointer(start: pointer, count: count)))
}

@c @implementation
public func lbfgsd_set_options(
    _ optimizer: OpaquePointer!, _ options: UnsafePointer<lbfgsd_options>!,
    _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let engine = try unsafe EngineHandle.of(optimizer).engine
        guard let options = try unsafe Options.read(options) else { throw .null("options") }
        try engine.setOptions(options)
        return LBFGSD_OK
    }
}

@c @implementation
public func lbfgsd_set_bounds(
    _ optimizer: OpaquePointer!, _ lower: UnsafePointer<Double>!, _ upper: UnsafePointer<Double>!,
    _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let engine = try unsafe EngineHandle.of(optimizer).engine
        let count = engine.count
        try engine.setBounds(
            lower: unsafe values(lower, count: count), upper: unsafe values(upper, count: count))
        return LBFGSD_OK
    }
}

@c @implementation
public func lbfgsd_set_uniform_bounds(
    _ optimizer: OpaquePointer!, _ lower: Double, _ upper: Double,
    _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        try unsafe EngineHandle.of(optimizer).engine.setBounds(
            lower: .uniform(lower), upper: .uniform(upper))
        return LBFGSD_OK
    }
}

@c @implementation
public func lbfgsd_set_l1(
    _ optimizer: OpaquePointer!, _ weights: UnsafePointer<Double>!,
    _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let engine = try unsafe EngineHandle.of(optimizer).engine
        try engine.setL1(unsafe values(weights, count: engine.count))
        return LBFGSD_OK
    }
}

@c @implementation
public func lbfgsd_set_uniform_l1(
    _ optimizer: OpaquePointer!, _ weight: Double, _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        try unsafe EngineHandle.of(optimizer).engine.setL1(.uniform(weight))
        return LBFGSD_OK
    }
}

@c @implementation
public func lbfgsd_set_x(
    _ optimizer: OpaquePointer!, _ x: UnsafePointer<Double>!,
    _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        try unsafe EngineHandle.float64(optimizer).setX(required(x, "x"))
        return LBFGSD_OK
    }
}

@c @implementation
public func lbfgsd_set_x_f32(
    _ optimizer: OpaquePointer!, _ x: UnsafePointer<Float>!,
    _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        try unsafe EngineHandle.float32(optimizer).setX(required(x, "x"))
        return LBFGSD_OK
    }
}
