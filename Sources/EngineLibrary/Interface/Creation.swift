public import CLbfgsd
internal import Glibc
internal import LBFGS

/// The vectors that an optimizer has at least once it runs.
private let vectorsMin = 10
/// Less memory is not asked for beforehand.
private let probedBytesMin = 1 << 20

/// Creates an engine at the `count` numbers of `x0`.
private func makeEngine<Scalar: EngineScalar>(
    _ count: Int, _ x0: UnsafePointer<Scalar>, _ options: UnsafePointer<lbfgsd_options>?
) throws(LibraryError) -> Engine<Scalar> {
    try requireMemory(count, of: Scalar.self)
    let options = try unsafe Options.read(options) ?? .robust
    // Sound: the caller has `count` numbers there.
    let start = unsafe Array(UnsafeBufferPointer(start: x0, count: count))
    try requireFinite(start, "x0")
    do throws(OptionError) {
        return Engine(try Optimizer(start, options: options))
    } catch {
        throw LibraryError(error)
    }
}

/// Checks that there is memory for vectors of `count` numbers, as far as the system tells.
private func requireMemory<Scalar>(_ count: Int, of _: Scalar.Type) throws(LibraryError) {
    guard count != 0 else { throw LibraryError(LBFGSD_ERROR_COUNT, "n must be at least 1, not 0") }
    // A size_t over half of the range arrives as a negative number.
    let (bytes, overflow) = count.multipliedReportingOverflow(
        by: vectorsMin * MemoryLayout<Scalar>.stride)
    guard count > 0, !overflow else {
        throw LibraryError(LBFGSD_ERROR_COUNT, "n is too large: \(UInt(bitPattern: count))")
    }
    guard bytes >= probedBytesMin else { return }
    // The compiler would remove malloc and free.
    let probe = unsafe mmap(
        nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard unsafe probe != MAP_FAILED else {
        throw LibraryError(
            LBFGSD_ERROR_MEMORY,
            "there are no \(bytes) bytes for \(vectorsMin) vectors of \(count) numbers")
    }
    unsafe munmap(probe, bytes)
}

@c @implementation
public func lbfgsd_create(
    _ optimizer: UnsafeMutablePointer<OpaquePointer?>!, _ n: Int, _ x0: UnsafePointer<Double>!,
    _ options: UnsafePointer<lbfgsd_options>!, _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let optimizer = try unsafe required(optimizer, "optimizer")
        unsafe optimizer.pointee = nil
        let engine = try unsafe makeEngine(n, required(x0, "x0"), options)
        unsafe optimizer.pointee = EngineHandle(engine).retained()
        return LBFGSD_OK
    }
}

@c @implementation
public func lbfgsd_create_f32(
    _ optimizer: UnsafeMutablePointer<OpaquePointer?>!, _ n: Int, _ x0: UnsafePointer<Float>!,
    _ options: UnsafePointer<lbfgsd_options>!, _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let optimizer = try unsafe required(optimizer, "optimizer")
        unsafe optimizer.pointee = nil
        let engine = try unsafe makeEngine(n, required(x0, "x0"), options)
        unsafe optimizer.pointee = EngineHandle(engine).retained()
        return LBFGSD_OK
    }
}

@c @implementation
public func lbfgsd_destroy(_ optimizer: OpaquePointer!) {
    guard let optimizer = unsafe optimizer else { return }
    unsafe EngineHandle.destroy(optimizer)
}

@c @implementation
public func lbfgsd_count(_ optimizer: OpaquePointer!) -> Int {
    unsafe EngineHandle.optional(optimizer)?.engine.count ?? 0
}

@c @implementation
public func lbfgsd_get_dtype(_ optimizer: OpaquePointer!) -> lbfgsd_dtype {
    guard let handle = unsafe EngineHandle.optional(optimizer) else { return LBFGSD_DTYPE_DEFAULT }
    return handle.float64 != nil ? LBFGSD_FLOAT64 : LBFGSD_FLOAT32
}

private let version: StaticString = "0.1.0"

@c @implementation
public func lbfgsd_version() -> UnsafePointer<CChar>! { unsafe characters(of: version) }

/// The characters of a literal, which are there forever.
func characters(of text: StaticString) -> UnsafePointer<CChar> {
    // Sound: the same octets, as C's type for characters.
    unsafe UnsafeRawPointer(text.utf8Start).assumingMemoryBound(to: CChar.self)
}
