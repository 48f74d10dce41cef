public import CLbfgsd
internal import LBFGS

@c @implementation
public func lbfgsd_snapshot_size(_ optimizer: OpaquePointer!) -> Int {
    unsafe EngineHandle.optional(optimizer)?.engine.snapshotSize() ?? 0
}

@c @implementation
public func lbfgsd_snapshot(
    _ optimizer: OpaquePointer!, _ bytes: UnsafeMutableRawPointer!, _ capacity: Int,
    _ size: UnsafeMutablePointer<Int>!, _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let engine = try unsafe EngineHandle.of(optimizer).engine
        let bytes = try unsafe required(bytes, "bytes")
        let size = try unsafe required(size, "size")
        let needed = engine.snapshotSize()
        guard UInt(bitPattern: capacity) >= UInt(needed) else {
            throw LibraryError(
                LBFGSD_ERROR_ROOM,
                "the snapshot has \(needed) bytes, there is memory for \(capacity)")
        }
        // Sound: the caller has memory for as many bytes.
        unsafe engine.writeSnapshot(
            to: UnsafeMutableRawBufferPointer(start: bytes, count: needed))
        unsafe size.pointee = needed
        return LBFGSD_OK
    }
}

@c @implementation
public func lbfgsd_restore(
    _ optimizer: UnsafeMutablePointer<OpaquePointer?>!, _ bytes: UnsafeRawPointer!, _ size: Int,
    _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let optimizer = try unsafe required(optimizer, "optimizer")
        unsafe optimizer.pointee = nil
        let bytes = try unsafe required(bytes, "bytes")
        guard size >= 0 else {
            throw LibraryError(LBFGSD_ERROR_SNAPSHOT, "no snapshot has so many bytes")
        }
        // Sound: the caller has as many bytes there.
        let snapshot = unsafe UnsafeRawBufferPointer(start: bytes, count: size)
        do throws(SnapshotFormatError) {
            let handle =
                switch try unsafe SnapshotHeader(snapshot).numberSize {
                case MemoryLayout<Double>.size: EngineHandle(try unsafe Engine<Double>(snapshot))
                default: EngineHandle(try unsafe Engine<Float>(snapshot))
                }
            let status = handle.engine.isStepping ? LBFGSD_EVALUATE : LBFGSD_OK
            unsafe optimizer.pointee = handle.retained()
            return status
        } catch {
            throw LibraryError(LBFGSD_ERROR_SNAPSHOT, error.text)
        }
    }
}
