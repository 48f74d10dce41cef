import CMicrohttpd
import HTTPTypes

/// Turns a response into the library's, and queues it.
@safe
struct ResponseWriter {
    private let core: ServerCore
    private let handle: ConnectionHandle
    private let head: RequestHead
    private var made: OpaquePointer?

    /// Up to here a body is copied whole, and leaves in one call with its header. A larger one is
    /// copied piece by piece as the socket takes it, so it is never held twice.
    private static let copiedBytesMax = 64 * 1024

    init(core: ServerCore, handle: ConnectionHandle, head: RequestHead) {
        self.core = core
        self.handle = handle
        self.head = head
    }

    /// Makes the library's response. Returns the stream behind it, if there is one.
    mutating func write(_ response: Response) -> StreamBody? {
        var streamed: StreamBody?
        switch response.body {
        case .none:
            unsafe made = MHD_create_response_from_buffer(0, nil, .RESPMEM_PERSISTENT)
        case .bytes(let bytes) where bytes.count <= Self.copiedBytesMax:
            // Copied before the call returns; never written to.
            unsafe made = bytes.withUnsafeBytes {
                unsafe MHD_create_response_from_buffer(
                    $0.count, UnsafeMutableRawPointer(mutating: $0.baseAddress),
                    .RESPMEM_MUST_COPY)
            }
        case .bytes(let bytes):
            unsafe made = Self.response(reading: ByteSource(bytes))
        case .source(let source) where source.count <= Self.copiedBytesMax:
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: source.count) { room, count in
                // Sound: the source says how many it has written.
                count = unsafe source.copy(from: 0, to: UnsafeMutableRawBufferPointer(room))
            }
            return write(
                Response(
                    status: response.status, headerFields: response.headerFields,
                    body: .bytes(bytes)))
        case .source(let source):
            unsafe made = Self.response(reading: source)
        case .stream(let stream):
            let body = StreamBody(core: core, handle: handle)
            unsafe made = MHD_create_response_from_callback(
                cmhd_size_unknown, Self.copiedBytesMax, readStream,
                Unmanaged.passRetained(body).toOpaque(), releaseStream)
            if head.method == .head {
                // No body, so nothing would ever read the stream. The library would still send the
                // last, empty chunk, which a client takes for the beginning of the next response.
                if let made = unsafe made { _ = unsafe cmhd_close_after(made) }
            } else {
                body.pump(stream.pieces)
            }
            streamed = body
        }
        for field in response.headerFields where !ResponseFields.areServers(field.name) {
            add(field.name.rawName, field.value)
        }
        // The client of a server that leaves should look for another one.
        if core.phase >= .draining { add("Connection", "close") }
        status = UInt32(response.status.code)
        return streamed
    }

    private static func response(reading source: any BodySource) -> OpaquePointer? {
        // The library keeps the reference until it calls releaseSource.
        unsafe MHD_create_response_from_callback(
            UInt64(source.count), copiedBytesMax, readSource,
            Unmanaged.passRetained(SourceBody(source)).toOpaque(), releaseSource)
    }

    private var status: UInt32 = 500

    /// `MHD_queue_response`. Returns false when the library has no memory; the connection is then
    /// closed.
    consuming func queue() -> Bool {
        guard let response = unsafe made else { return false }
        // The library counts references: ours goes, its own stays until the response is sent.
        defer { unsafe MHD_destroy_response(response) }
        return unsafe MHD_queue_response(handle.pointer, status, response) == .YES
    }

    private func add(_ name: String, _ value: String) {
        guard let response = unsafe made else { return }
        // Sound: both strings are copied before the call returns. One with a line break in it is
        // refused by the library.
        _ = unsafe name.withCString { name in
            unsafe value.withCString { unsafe MHD_add_response_header(response, name, $0) }
        }
    }
}

/// A body of known length that is read in pieces.
private final class SourceBody: Sendable {
    let source: any BodySource
    init(_ source: any BodySource) { self.source = source }
}

/// `MHD_ContentReaderCallback` for a body of known length.
private func readSource(
    context: UnsafeMutableRawPointer?, position: UInt64, buffer: UnsafeMutablePointer<CChar>?,
    capacity: Int
) -> Int {
    guard let context = unsafe context, let buffer = unsafe buffer else {
        return cmhd_end_with_error
    }
    // The context is the SourceBody that was retained for this response; `capacity` bytes are at
    // `buffer`.
    let source = unsafe Unmanaged<SourceBody>.fromOpaque(context).takeUnretainedValue().source
    guard position < UInt64(source.count) else { return cmhd_end_of_stream }
    return unsafe source.copy(
        from: Int(position), to: UnsafeMutableRawBufferPointer(start: buffer, count: capacity))
}

private func releaseSource(context: UnsafeMutableRawPointer?) {
    // Balances the retain in `response`; called once.
    if let context = unsafe context { unsafe Unmanaged<SourceBody>.fromOpaque(context).release() }
}

/// `MHD_ContentReaderCallback` for a stream.
private func readStream(
    context: UnsafeMutableRawPointer?, position: UInt64, buffer: UnsafeMutablePointer<CChar>?,
    capacity: Int
) -> Int {
    guard let context = unsafe context, let buffer = unsafe buffer else {
        return cmhd_end_with_error
    }
    // The context is the StreamBody that was retained for this response; `capacity` bytes are at
    // `buffer`.
    let body = unsafe Unmanaged<StreamBody>.fromOpaque(context).takeUnretainedValue()
    return unsafe body.read(into: UnsafeMutableRawBufferPointer(start: buffer, count: capacity))
}

private func releaseStream(context: UnsafeMutableRawPointer?) {
    guard let context = unsafe context else { return }
    // Balances the retain in `write`; called once.
    let body = unsafe Unmanaged<StreamBody>.fromOpaque(context).takeRetainedValue()
    body.close()
}
