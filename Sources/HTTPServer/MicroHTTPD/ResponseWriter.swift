import CMicrohttpd
import CMicrohttpdPages
import HTTPTypes

/// Converts a response to a `struct MHD_Response *` and queues it on the connection.
@safe
struct ResponseWriter {
    private let core: ServerCore
    private let handle: ConnectionHandle
    private let head: RequestHead
    private var prepared: OpaquePointer?
    private var status: UInt32 = 500
    /// Of a long response that is not a stream.
    private(set) var progress: ResponseProgress?

    /// A body up to this length is copied as a whole and sent in one call together with the header.
    /// A longer one is copied block by block as the socket accepts it, so it is never held twice.
    private static let copiedBytesMax = 64 * 1024
    /// What the library takes of a stream at a time.
    private static let streamBlockBytes = 16 * 1024

    init(core: ServerCore, handle: ConnectionHandle, head: RequestHead) {
        self.core = core
        self.handle = handle
        self.head = head
    }

    /// Creates the library's response. Returns the buffer of its stream, if it has one.
    mutating func prepare(_ response: Response) -> StreamBuffer? {
        var stream: StreamBuffer?
        switch response.body {
        case .none:
            unsafe prepared = MHD_create_response_from_buffer(0, nil, .RESPMEM_PERSISTENT)
        case .bytes(let bytes) where bytes.count <= Self.copiedBytesMax:
            unsafe prepared = Self.copying(bytes)
        case .bytes(let bytes):
            read(ByteSource(bytes))
        case .source(let source) where source.count <= Self.copiedBytesMax:
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: source.count) { buffer, count in
                // Sound: the source returns how many bytes it has initialized.
                count = unsafe source.copy(from: 0, to: UnsafeMutableRawBufferPointer(buffer))
            }
            unsafe prepared = Self.copying(bytes)
        case .source(let source):
            read(source)
        case .stream(let chunks):
            stream = prepareStream(chunks)
        }
        for field in response.headerFields where !ServerManagedFields.contains(field.name) {
            add(field.name.rawName, field.value)
        }
        add("X-Request-Id", head.requestID)
        // Tells the clients of a stopping server not to reuse the connection.
        if core.phase >= .quiesced { add("Connection", "close") }
        status = UInt32(response.status.code)
        return stream
    }

    private mutating func prepareStream(_ stream: ChunkStream) -> StreamBuffer {
        let buffer = StreamBuffer(core: core, handle: handle)
        // Sound: the library keeps the reference until it calls releaseStream.
        unsafe prepared = MHD_create_response_from_callback(
            cmhd_size_unknown, Self.streamBlockBytes, readStream,
            Unmanaged.passRetained(buffer).toOpaque(), releaseStream)
        if head.method == .head {
            // There is no body, so nobody would read the stream. The library would still send the
            // last, empty chunk, which the client would take for the next response.
            if let prepared = unsafe prepared { _ = unsafe cmhd_close_after(prepared) }
        } else {
            handle.limitSendBuffer(bytes: core.configuration.streamSendBufferBytesMax)
            buffer.pump(stream.chunks)
        }
        return buffer
    }

    private static func copying(_ bytes: [UInt8]) -> OpaquePointer? {
        // Sound: the library copies the bytes before the call returns, and does not write to them.
        unsafe bytes.withUnsafeBytes {
            unsafe MHD_create_response_from_buffer(
                $0.count, UnsafeMutableRawPointer(mutating: $0.baseAddress), .RESPMEM_MUST_COPY)
        }
    }

    private mutating func read(_ source: any BodySource) {
        let reference = SourceReference(source)
        progress = reference.progress
        // Sound: the library keeps the reference until it calls releaseSource.
        unsafe prepared = MHD_create_response_from_callback(
            UInt64(source.count), Self.copiedBytesMax, readSource,
            Unmanaged.passRetained(reference).toOpaque(), releaseSource)
    }

    /// `MHD_queue_response`. Returns false if the library has no memory. The connection must then
    /// be closed.
    consuming func queue() -> Bool {
        guard let response = unsafe prepared else { return false }
        // The library counts references: it keeps its own until the response was sent.
        defer { unsafe MHD_destroy_response(response) }
        return unsafe cmhd_queue_response(handle.pointer, status, response) != 0
    }

    /// The library's response, unqueued. The caller destroys it.
    consuming func takePrepared() -> OpaquePointer? { unsafe prepared }

    private func add(_ name: String, _ value: String) {
        guard let response = unsafe prepared else { return }
        // Sound: the library copies both strings before the call returns. It refuses a value with a
        // line break.
        _ = unsafe name.withCString { name in
            unsafe value.withCString { unsafe MHD_add_response_header(response, name, $0) }
        }
    }
}
