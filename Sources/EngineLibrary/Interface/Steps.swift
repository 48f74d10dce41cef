public import CLbfgsd
internal import LBFGS

@c @implementation
public func lbfgsd_begin(
    _ optimizer: OpaquePointer!, _ options: UnsafePointer<lbfgsd_options>!,
    _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        try unsafe EngineHandle.of(optimizer).engine.begin(Options.read(options))
    }
}

@c @implementation
public func lbfgsd_point(_ optimizer: OpaquePointer!) -> UnsafePointer<Double>! {
    unsafe EngineHandle.optional(optimizer)?.float64?.point
}

@c @implementation
public func lbfgsd_point_f32(_ optimizer: OpaquePointer!) -> UnsafePointer<Float>! {
    unsafe EngineHandle.optional(optimizer)?.float32?.point
}

@c @implementation
public func lbfgsd_gradient_buffer(_ optimizer: OpaquePointer!) -> UnsafeMutablePointer<Double>! {
    unsafe EngineHandle.optional(optimizer)?.float64?.pendingGradient
}

@c @implementation
public func lbfgsd_gradient_buffer_f32(
    _ optimizer: OpaquePointer!
) -> UnsafeMutablePointer<Float>! {
    unsafe EngineHandle.optional(optimizer)?.float32?.pendingGradient
}

@c @implementation
public func lbfgsd_advance(
    _ optimizer: OpaquePointer!, _ loss: Double, _ gradient: UnsafePointer<Double>!,
    _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        try unsafe EngineHandle.float64(optimizer).advance(loss: loss, gradient: gradient)
    }
}

@c @implementation
public func lbfgsd_advance_f32(
    _ optimizer: OpaquePointer!, _ loss: Double, _ gradient: UnsafePointer<Float>!,
    _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        try unsafe EngineHandle.float32(optimizer).advance(loss: loss, gradient: gradient)
    }
}

@c @implementation
public func lbfgsd_advance_to(
    _ optimizer: OpaquePointer!, _ loss: Double, _ gradient: UnsafePointer<Double>!,
    _ x: UnsafeMutablePointer<Double>!, _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let engine = try unsafe EngineHandle.float64(optimizer)
        return try unsafe engine.advance(loss: loss, gradient: gradient, to: required(x, "x"))
    }
}

@c @implementation
public func lbfgsd_advance_to_f32(
    _ optimizer: OpaquePointer!, _ loss: Double, _ gradient: UnsafePointer<Float>!,
    _ x: UnsafeMutablePointer<Float>!, _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let engine = try unsafe EngineHandle.float32(optimizer)
        return try unsafe engine.advance(loss: loss, gradient: gradient, to: required(x, "x"))
    }
}

@c @implementation
public func lbfgsd_stop(
    _ optimizer: OpaquePointer!, _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        try unsafe EngineHandle.of(optimizer).engine.stop()
    }
}
