public import CLbfgsd
internal import LBFGS

@c @implementation
public func lbfgsd_coordinator_create(
    _ coordinator: UnsafeMutablePointer<OpaquePointer?>!, _ dtype: Int32,
    _ options: UnsafePointer<lbfgsd_options>!, _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let coordinator = try unsafe required(coordinator, "coordinator")
        unsafe coordinator.pointee = nil
        let roundoff: Double
        switch dtype {
        case Int32(LBFGSD_FLOAT64.rawValue): roundoff = .ulpOfOne
        case Int32(LBFGSD_FLOAT32.rawValue): roundoff = Double(Float.ulpOfOne)
        default: throw LibraryError(LBFGSD_ERROR_OPTION, "dtype must be 1 or 2, not \(dtype)")
        }
        let options = try unsafe Options.read(options) ?? .robust
        do throws(OptionError) {
            unsafe coordinator.pointee = Coordinator(
                try RemoteOptimizer(options: options, unitRoundoff: roundoff)
            ).retained()
        } catch {
            throw LibraryError(error)
        }
        return LBFGSD_OK
    }
}

@c @implementation
public func lbfgsd_coordinator_destroy(_ coordinator: OpaquePointer!) {
    guard let coordinator = unsafe coordinator else { return }
    unsafe Coordinator.destroy(coordinator)
}

@c @implementation
public func lbfgsd_coordinator_pairs(_ coordinator: OpaquePointer!) -> Int {
    unsafe Coordinator.optional(coordinator)?.pairCount ?? 0
}

@c @implementation
public func lbfgsd_coordinator_begin(
    _ coordinator: OpaquePointer!, _ options: UnsafePointer<lbfgsd_options>!,
    _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        try unsafe Coordinator.of(coordinator).begin(Options.read(options))
    }
}

@c @implementation
public func lbfgsd_coordinator_command(
    _ coordinator: OpaquePointer!, _ command: UnsafeMutablePointer<Double>!, _ capacity: Int,
    _ count: UnsafeMutablePointer<Int>!, _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let numbers = try unsafe Coordinator.of(coordinator).command()
        let command = try unsafe required(command, "command")
        let count = try unsafe required(count, "count")
        guard UInt(bitPattern: capacity) >= UInt(numbers.count) else {
            throw LibraryError(
                LBFGSD_ERROR_ROOM,
                "the command has \(numbers.count) numbers, there is memory for \(capacity)")
        }
        // Sound: the caller has memory for as many numbers.
        unsafe command.update(from: numbers, count: numbers.count)
        unsafe count.pointee = numbers.count
        return LBFGSD_OK
    }
}

@c @implementation
public func lbfgsd_coordinator_advance(
    _ coordinator: OpaquePointer!, _ loss: Double, _ numbers: UnsafePointer<Double>!,
    _ count: Int, _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let coordinator = try unsafe Coordinator.of(coordinator)
        guard let numbers = unsafe numbers else {
            return try unsafe coordinator.advance(loss: loss, report: nil)
        }
        guard count >= 0 else { throw LibraryError(LBFGSD_ERROR_COUNT, "count is too large") }
        // Sound: the caller has as many numbers there.
        return try unsafe coordinator.advance(
            loss: loss, report: UnsafeBufferPointer(start: numbers, count: count))
    }
}

@c @implementation
public func lbfgsd_coordinator_stop(
    _ coordinator: OpaquePointer!, _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        try unsafe Coordinator.of(coordinator).stop()
    }
}

@c @implementation
public func lbfgsd_coordinator_get_result(
    _ coordinator: OpaquePointer!, _ result: UnsafeMutablePointer<lbfgsd_result>!,
    _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let coordinator = try unsafe Coordinator.of(coordinator)
        let result = try unsafe required(result, "result")
        try unsafe requireSize(of: result)
        unsafe result.pointee = try coordinator.result()
        return LBFGSD_OK
    }
}

@c @implementation
public func lbfgsd_coordinator_snapshot_size(_ coordinator: OpaquePointer!) -> Int {
    unsafe Coordinator.optional(coordinator)?.snapshot().count ?? 0
}

@c @implementation
public func lbfgsd_coordinator_snapshot(
    _ coordinator: OpaquePointer!, _ bytes: UnsafeMutableRawPointer!, _ capacity: Int,
    _ size: UnsafeMutablePointer<Int>!, _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let snapshot = try unsafe Coordinator.of(coordinator).snapshot()
        let bytes = try unsafe required(bytes, "bytes")
        let size = try unsafe required(size, "size")
        guard UInt(bitPattern: capacity) >= UInt(snapshot.count) else {
            throw LibraryError(
                LBFGSD_ERROR_ROOM,
                "the snapshot has \(snapshot.count) bytes, there is memory for \(capacity)")
        }
        // Sound: the caller has memory for as many bytes.
        unsafe UnsafeMutableRawBufferPointer(start: bytes, count: snapshot.count)
            .copyBytes(from: snapshot)
        unsafe size.pointee = snapshot.count
        return LBFGSD_OK
    }
}

@c @implementation
public func lbfgsd_coordinator_restore(
    _ coordinator: UnsafeMutablePointer<OpaquePointer?>!, _ bytes: UnsafeRawPointer!,
    _ size: Int, _ error: UnsafeMutablePointer<lbfgsd_error>!
) -> lbfgsd_status {
    unsafe report(to: error) { () throws(LibraryError) in
        let coordinator = try unsafe required(coordinator, "coordinator")
        unsafe coordinator.pointee = nil
        let bytes = try unsafe required(bytes, "bytes")
        guard size >= 0 else {
            throw LibraryError(LBFGSD_ERROR_SNAPSHOT, "no snapshot has so many bytes")
        }
        do throws(SnapshotFormatError) {
            // Sound: the caller has as many bytes there.
            let restored = try unsafe Coordinator(
                UnsafeRawBufferPointer(start: bytes, count: size))
            unsafe coordinator.pointee = restored.retained()
            return restored.isStepping ? LBFGSD_EVALUATE : LBFGSD_OK
        } catch {
            throw LibraryError(LBFGSD_ERROR_SNAPSHOT, error.text)
        }
    }
}
