internal import CLbfgsd
internal import LBFGS

/// What an `lbfgsd_optimizer *` points to: an engine of one of the two precisions.
final class EngineHandle {
    /// The engine, for what does not depend on its precision.
    let engine: any SteppingEngine
    let float64: Engine<Double>?
    let float32: Engine<Float>?

    init(_ engine: Engine<Double>) { (self.engine, float64, float32) = (engine, engine, nil) }
    init(_ engine: Engine<Float>) { (self.engine, float64, float32) = (engine, nil, engine) }

    /// A reference that C keeps, until `destroy(_:)` takes it back.
    func retained() -> OpaquePointer {
        unsafe OpaquePointer(Unmanaged.passRetained(self).toOpaque())
    }

    static func destroy(_ pointer: OpaquePointer) {
        // Sound: the caller destroys each optimizer once.
        unsafe Unmanaged<EngineHandle>.fromOpaque(UnsafeRawPointer(pointer)).release()
    }

    /// The handle of an optimizer, or nil for NULL.
    @inline(__always)
    static func optional(_ pointer: OpaquePointer?) -> EngineHandle? {
        guard let pointer = unsafe pointer else { return nil }
        // Sound: the caller passes optimizers that it has not destroyed.
        return unsafe Unmanaged<EngineHandle>.fromOpaque(UnsafeRawPointer(pointer))
            .takeUnretainedValue()
    }

    /// The handle of an optimizer.
    @inline(__always)
    static func of(_ pointer: OpaquePointer?) throws(LibraryError) -> EngineHandle {
        guard let handle = unsafe optional(pointer) else { throw .null("optimizer") }
        return handle
    }

    /// The engine of an optimizer in float64.
    @inline(__always)
    static func float64(_ pointer: OpaquePointer?) throws(LibraryError) -> Engine<Double> {
        guard let engine = try unsafe of(pointer).float64 else {
            throw LibraryError(LBFGSD_ERROR_PRECISION, "the optimizer is in float32")
        }
        return engine
    }

    /// The engine of an optimizer in float32.
    @inline(__always)
    static func float32(_ pointer: OpaquePointer?) throws(LibraryError) -> Engine<Float> {
        guard let engine = try unsafe of(pointer).float32 else {
            throw LibraryError(LBFGSD_ERROR_PRECISION, "the optimizer is in float64")
        }
        return engine
    }
}

/// An engine without its precision.
protocol SteppingEngine: AnyObject {
    var count: Int { get }
    var isStepping: Bool { get }

    func setOptions(_ options: Options) throws(LibraryError)
    func setBounds(
        lower: ParameterValues<Double>, upper: ParameterValues<Double>
    ) throws(LibraryError)
    func setL1(_ weights: ParameterValues<Double>) throws(LibraryError)
    func begin(_ options: Options?) throws(LibraryError) -> lbfgsd_status
    func stop() throws(LibraryError) -> lbfgsd_status
    func result() throws(LibraryError) -> lbfgsd_result
    func activeSet() -> [ActiveBound]
    func snapshotSize() -> Int
    func writeSnapshot(to memory: UnsafeMutableRawBufferPointer)
}
