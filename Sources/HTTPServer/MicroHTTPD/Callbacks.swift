import CMicrohttpd

// The functions that libmicrohttpd calls, each on the thread of the connection's event loop. They
// are at file scope, because a closure passed to C would inherit the isolation of the place where
// it is written, and would trap on another thread.

/// `MHD_NotifyConnectionCallback`: a connection was opened or is about to be closed.
func connectionChangedCallback(
    context: UnsafeMutableRawPointer?, handle: OpaquePointer?,
    slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, change: MHD_ConnectionNotificationCode
) {
    guard let context = unsafe context, let handle = unsafe handle, let slot = unsafe slot else {
        return
    }
    // Sound: the context is the event loop that started the daemon, and outlives it.
    let eventLoop = unsafe Unmanaged<EventLoop>.fromOpaque(context).takeUnretainedValue()
    let connections = eventLoop.core.connections
    if change == .CONNECTION_NOTIFY_STARTED {
        let descriptor = unsafe cmhd_socket(handle)
        let connection = connections.open(descriptor) {
            Connection(eventLoop: eventLoop, fileDescriptor: descriptor, remoteAddress: $0)
        }
        // Balanced below: the library calls back with CLOSED once for each STARTED.
        unsafe slot.pointee = Unmanaged.passRetained(connection).toOpaque()
    } else if let opaque = unsafe slot.pointee {
        let connection = unsafe Unmanaged<Connection>.fromOpaque(opaque).takeRetainedValue()
        connections.remove(connection)
        unsafe slot.pointee = nil
    }
}

/// The callback of `MHD_OPTION_URI_LOG_CALLBACK`, the only one that receives the request target as
/// it was sent. The pointer that it returns is passed to the two callbacks below in `slot`.
func requestLineCallback(
    context: UnsafeMutableRawPointer?, target: UnsafePointer<CChar>?, handle: OpaquePointer?
) -> UnsafeMutableRawPointer? {
    guard let handle = unsafe handle, let opaque = unsafe cmhd_socket_context(handle) else {
        return nil
    }
    // Sound: STARTED stored the connection there, and CLOSED comes after the last request.
    let connection = unsafe Unmanaged<Connection>.fromOpaque(opaque).takeUnretainedValue()
    connection.requestLineReceived(target: unsafe target.map { unsafe String(cString: $0) } ?? "")
    return unsafe opaque
}

/// `MHD_AccessHandlerCallback`: called with the header, with each piece of the body, at its end,
/// and after each resumption of the connection.
func accessCallback(
    context: UnsafeMutableRawPointer?, handle: OpaquePointer?, url: UnsafePointer<CChar>?,
    method: UnsafePointer<CChar>?, version: UnsafePointer<CChar>?,
    piece: UnsafePointer<CChar>?, pieceCount: UnsafeMutablePointer<Int>?,
    slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?
) -> MHD_Result {
    guard let handle = unsafe handle, let opaque = unsafe slot?.pointee,
        let pieceCount = unsafe pieceCount, let method = unsafe method,
        let version = unsafe version
    else { return .NO }
    // Sound: this is the pointer that requestLineCallback returned for the request.
    let connection = unsafe Unmanaged<Connection>.fromOpaque(opaque).takeUnretainedValue()
    let connectionHandle = unsafe ConnectionHandle(handle, on: connection.eventLoop)
    guard let exchange = connection.exchange else {
        // Sound: the library's strings are valid until the request is completed.
        let isAccepted = connection.headerReceived(
            unsafe RequestReader(handle: handle, method: method, version: version),
            connectionHandle)
        return isAccepted ? .YES : .NO
    }
    if let piece = unsafe piece, unsafe pieceCount.pointee > 0 {
        // Sound: the library passes the number of bytes at `piece`. All of them are consumed.
        let rejection = unsafe exchange.appendToBody(
            UnsafeRawBufferPointer(start: piece, count: pieceCount.pointee), connectionHandle)
        unsafe pieceCount.pointee = 0
        guard let rejection else { return .YES }
        connection.rejectRest(of: exchange, rejection)
        return .NO
    }
    return connection.requestReady(exchange, connectionHandle) ? .YES : .NO
}

/// `MHD_RequestCompletedCallback`: the response was sent, or the connection failed.
func requestCompletedCallback(
    context: UnsafeMutableRawPointer?, handle: OpaquePointer?,
    slot: UnsafeMutablePointer<UnsafeMutableRawPointer?>?, reason: MHD_RequestTerminationCode
) {
    guard let opaque = unsafe slot?.pointee else { return }
    // Sound: as in accessCallback.
    let connection = unsafe Unmanaged<Connection>.fromOpaque(opaque).takeUnretainedValue()
    connection.requestCompleted()
    unsafe slot?.pointee = nil
}
