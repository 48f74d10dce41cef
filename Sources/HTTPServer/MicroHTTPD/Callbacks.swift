import CMicrohttpd

// The functions that the library calls, each on the thread that serves the connection.
// They stand at file scope, because a closure passed to C takes on the isolation of the place where
// it is written, and then traps on a foreign thread.

/// `MHD_NotifyConnectionCallback`: a socket was taken in, or is about to be closed.
func whenConnectionChanged(
    context: UnsafeMutableRawPointer?, handle: OpaquePointer?,
    slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, change: MHD_ConnectionNotificationCode
) {
    guard let context = unsafe context, let handle = unsafe handle, let slot = unsafe slot else {
        return
    }
    // The context is the thread that started the daemon; it outlives it.
    let thread = unsafe Unmanaged<ServingThread>.fromOpaque(context).takeUnretainedValue()
    let core = thread.core
    if change == .CONNECTION_NOTIFY_STARTED {
        let descriptor = unsafe cmhd_socket(handle)
        let connection = core.connections.open(descriptor) {
            Connection(thread: thread, fileDescriptor: descriptor, remoteAddress: $0)
        }
        // Balanced below: the library calls CLOSED once for each STARTED.
        unsafe slot.pointee = Unmanaged.passRetained(connection).toOpaque()
    } else if let opaque = unsafe slot.pointee {
        let connection = unsafe Unmanaged<Connection>.fromOpaque(opaque).takeRetainedValue()
        core.connections.close(connection)
        unsafe slot.pointee = nil
    }
}

/// The callback of `MHD_OPTION_URI_LOG_CALLBACK`: the only one that sees the target as it was sent.
/// What it returns comes back as the request's own pointer in the two callbacks below.
func whenRequestLineIsRead(
    context: UnsafeMutableRawPointer?, target: UnsafePointer<CChar>?, handle: OpaquePointer?
) -> UnsafeMutableRawPointer? {
    guard let handle = unsafe handle, let opaque = unsafe cmhd_socket_context(handle) else {
        return nil
    }
    // The slot was filled by STARTED and is emptied by CLOSED, after the last request.
    let connection = unsafe Unmanaged<Connection>.fromOpaque(opaque).takeUnretainedValue()
    connection.requestBegins(target: unsafe target.map { unsafe String(cString: $0) } ?? "")
    return unsafe opaque
}

/// `MHD_AccessHandlerCallback`: called with the header, with pieces of the body, and at its end,
/// and again after each resumption.
func whenAccessed(
    context: UnsafeMutableRawPointer?, handle: OpaquePointer?, url: UnsafePointer<CChar>?,
    method: UnsafePointer<CChar>?, version: UnsafePointer<CChar>?,
    piece: UnsafePointer<CChar>?, pieceCount: UnsafeMutablePointer<Int>?,
    slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> MHD_Result {
    guard let handle = unsafe handle, let opaque = unsafe slot?.pointee,
        let pieceCount = unsafe pieceCount, let method = unsafe method,
        let version = unsafe version
    else { return .NO }
    // What whenRequestLineIsRead returned for this request.
    let connection = unsafe Unmanaged<Connection>.fromOpaque(opaque).takeUnretainedValue()
    guard let exchange = connection.exchange else {
        // The library's strings are valid until the request is completed.
        return connection.headIsRead(
            unsafe RequestReader(handle: handle, method: method, version: version),
            unsafe ConnectionHandle(handle, on: connection.thread))
    }
    if let piece = unsafe piece, unsafe pieceCount.pointee > 0 {
        // The library says how many bytes stand at `piece`; all of them are taken.
        unsafe exchange.bodyContinues(
            UnsafeRawBufferPointer(start: piece, count: pieceCount.pointee))
        unsafe pieceCount.pointee = 0
        return .YES
    }
    return connection.requestIsReady(
        exchange, unsafe ConnectionHandle(handle, on: connection.thread))
}

/// `MHD_RequestCompletedCallback`: the response is sent, or never will be.
func whenCompleted(
    context: UnsafeMutableRawPointer?, handle: OpaquePointer?,
    slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, reason: MHD_RequestTerminationCode
) {
    guard let opaque = unsafe slot?.pointee else { return }
    // As in whenAccessed.
    let connection = unsafe Unmanaged<Connection>.fromOpaque(opaque).takeUnretainedValue()
    connection.requestEnds()
    unsafe slot?.pointee = nil
}
