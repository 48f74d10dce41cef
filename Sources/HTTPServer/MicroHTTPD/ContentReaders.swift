import CMicrohttpd

// The callbacks with which the library reads the body of a response while it sends it.

/// Puts a body source behind a reference that can be passed to the library.
final class SourceReference: Sendable {
    let source: any BodySource
    let progress = ResponseProgress()

    init(_ source: any BodySource) { self.source = source }
}

/// `MHD_ContentReaderCallback` for a body of known length. The context is a `SourceReference`.
func readSource(
    context: UnsafeMutableRawPointer?, position: UInt64, buffer: UnsafeMutablePointer<CChar>?,
    capacity: Int
) -> Int {
    guard let context = unsafe context, let buffer = unsafe buffer else {
        return cmhd_end_with_error
    }
    // Sound: the response holds a reference to the context, and `buffer` has `capacity` bytes.
    let reference = unsafe Unmanaged<SourceReference>.fromOpaque(context).takeUnretainedValue()
    let source = reference.source
    reference.progress.advance(to: Int(position))
    guard position < UInt64(source.count) else { return cmhd_end_of_stream }
    return unsafe source.copy(
        from: Int(position), to: UnsafeMutableRawBufferPointer(start: buffer, count: capacity))
}

/// `MHD_ContentReaderFreeCallback` for a `SourceReference`. Called once.
func releaseSource(context: UnsafeMutableRawPointer?) {
    if let context = unsafe context {
        unsafe Unmanaged<SourceReference>.fromOpaque(context).release()
    }
}

/// `MHD_ContentReaderCallback` for a stream. The context is a `StreamBuffer`.
func readStream(
    context: UnsafeMutableRawPointer?, position: UInt64, buffer: UnsafeMutablePointer<CChar>?,
    capacity: Int
) -> Int {
    guard let context = unsafe context, let buffer = unsafe buffer else {
        return cmhd_end_with_error
    }
    // Sound: the response holds a reference to the context, and `buffer` has `capacity` bytes.
    let stream = unsafe Unmanaged<StreamBuffer>.fromOpaque(context).takeUnretainedValue()
    let result = unsafe stream.read(
        into: UnsafeMutableRawBufferPointer(start: buffer, count: capacity))
    switch result {
    case .bytes(let count): return count
    case .suspended: return 0
    case .endOfStream: return cmhd_end_of_stream
    case .failed: return cmhd_end_with_error
    }
}

/// `MHD_ContentReaderFreeCallback` for a `StreamBuffer`. Called once.
func releaseStream(context: UnsafeMutableRawPointer?) {
    guard let context = unsafe context else { return }
    unsafe Unmanaged<StreamBuffer>.fromOpaque(context).takeRetainedValue().close()
}
