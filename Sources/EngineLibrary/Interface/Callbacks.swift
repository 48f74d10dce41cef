public import CLbfgsd
internal import LBFGS

@c @implementation
public func lbfgsd_run(
    _ optimizer: OpaquePointer!, _ evaluate: lbfgsd_evaluate!, _ progress: lbfgsd_progress!,
    _ instance: UnsafeMutableRawPointer!, _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let engine = try unsafe EngineHandle.float64(optimizer)
        let evaluate = try unsafe required(evaluate, "evaluate")
        let count = engine.count
        return try unsafe engine.run(
            evaluate: { point, loss, gradient in
                unsafe evaluate(instance, count, point, loss, gradient)
            },
            progress: { unsafe progress.map { unsafe $0(instance, optimizer) } ?? 0 })
    }
}

@c @implementation
public func lbfgsd_run_f32(
    _ optimizer: OpaquePointer!, _ evaluate: lbfgsd_evaluate_f32!, _ progress: lbfgsd_progress!,
    _ instance: UnsafeMutableRawPointer!, _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let engine = try unsafe EngineHandle.float32(optimizer)
        let evaluate = try unsafe required(evaluate, "evaluate")
        let count = engine.count
        return try unsafe engine.run(
            evaluate: { point, loss, gradient in
                unsafe evaluate(instance, count, point, loss, gradient)
            },
            progress: { unsafe progress.map { unsafe $0(instance, optimizer) } ?? 0 })
    }
}

/// Creates an optimizer by `create`, sets its bounds, runs it, and destroys it.
private func minimize(
    create: (UnsafeMutablePointer<OpaquePointer?>, UnsafeMutablePointer<lbfgsd_error>?)
        -> lbfgsd_status,
    bounds: (lower: UnsafePointer<Double>?, upper: UnsafePointer<Double>?),
    run: (OpaquePointer, UnsafeMutablePointer<lbfgsd_error>?) -> lbfgsd_status,
    keep: (OpaquePointer) -> Void,
    _ result: UnsafeMutablePointer<lbfgsd_result>?, _ error: UnsafeMutablePointer<lbfgsd_error>?
) -> lbfgsd_status {
    if let result = unsafe result {
        let status = unsafe report(to: error) { () throws(LibraryError) in
            try unsafe requireSize(of: result)
            return LBFGSD_OK
        }
        guard status == LBFGSD_OK else { return status }
    }
    var created: OpaquePointer?
    var status = unsafe create(&created, error)
    guard let optimizer = unsafe created else { return status }
    defer { unsafe lbfgsd_destroy(optimizer) }
    if unsafe bounds.lower != nil || bounds.upper != nil {
        status = unsafe lbfgsd_set_bounds(optimizer, bounds.lower, bounds.upper, error)
        guard status == LBFGSD_OK else { return status }
    }
    status = unsafe run(optimizer, error)
    guard status == LBFGSD_FINISHED else { return status }
    unsafe keep(optimizer)
    guard let result = unsafe result else { return status }
    let got = unsafe lbfgsd_get_result(optimizer, result, error)
    return got == LBFGSD_OK ? status : got
}

@c @implementation
public func lbfgsd_minimize(
    _ n: Int, _ x: UnsafeMutablePointer<Double>!, _ lower: UnsafePointer<Double>!,
    _ upper: UnsafePointer<Double>!, _ evaluate: lbfgsd_evaluate!, _ progress: lbfgsd_progress!,
    _ instance: UnsafeMutableRawPointer!, _ options: UnsafePointer<lbfgsd_options>!,
    _ result: UnsafeMutablePointer<lbfgsd_result>!, _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe minimize(
        create: { unsafe lbfgsd_create($0, n, x, options, $1) }, bounds: (lower, upper),
        run: { unsafe lbfgsd_run($0, evaluate, progress, instance, $1) },
        // Sound: both have n numbers.
        keep: { if let end = unsafe lbfgsd_x($0) { unsafe x.update(from: end, count: n) } },
        result, error)
}

@c @implementation
public func lbfgsd_minimize_f32(
    _ n: Int, _ x: UnsafeMutablePointer<Float>!, _ lower: UnsafePointer<Double>!,
    _ upper: UnsafePointer<Double>!, _ evaluate: lbfgsd_evaluate_f32!,
    _ progress: lbfgsd_progress!, _ instance: UnsafeMutableRawPointer!,
    _ options: UnsafePointer<lbfgsd_options>!, _ result: UnsafeMutablePointer<lbfgsd_result>!,
    _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe minimize(
        create: { unsafe lbfgsd_create_f32($0, n, x, options, $1) }, bounds: (lower, upper),
        run: { unsafe lbfgsd_run_f32($0, evaluate, progress, instance, $1) },
        // Sound: both have n numbers.
        keep: { if let end = unsafe lbfgsd_x_f32($0) { unsafe x.update(from: end, count: n) } },
        result, error)
}
