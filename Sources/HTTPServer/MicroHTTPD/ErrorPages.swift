import CMicrohttpd
import CMicrohttpdPages
import HTTPTypes

/// Gives the library's own error responses the form that all rejections have.
///
/// The library answers by itself where its parser fails: a request line or header fields that do
/// not fit in its buffer, a `Content-Length` that is no number, a version that it does not know.
enum ErrorPages {
    /// Takes effect for the whole process. May be called repeatedly.
    static func replace() {
        unsafe cmhd_replace_pages(errorPageCallback)
    }

    /// What a page with this status stands for.
    fileprivate static func rejection(status: UInt32) -> RequestRejection {
        switch status {
        case 413: .malformed("Content-Length is too large a number")
        // 500 means that the connection's memory, which holds the header, is used up.
        case 414, 431, 500: .headersTooLarge
        case 505: .malformed("the version of HTTP is not 1.1")
        default: .malformed("its request line, header fields or chunks break HTTP's rules")
        }
    }
}

/// `cmhd_render_page`. The response belongs to the caller.
private func errorPageCallback(
    handle: OpaquePointer?, status: UnsafeMutablePointer<UInt32>?
) -> OpaquePointer? {
    guard let handle = unsafe handle, let status = unsafe status,
        let opaque = unsafe cmhd_socket_context(handle)
    else { return nil }
    // Sound: connectionChangedCallback stored the connection there, and releases it only when the
    // library is done with its own.
    let connection = unsafe Unmanaged<Connection>.fromOpaque(opaque).takeUnretainedValue()
    let head = RequestHead.unread(from: connection.remoteAddress)
    let response = connection.core.dispatcher.response(
        to: ErrorPages.rejection(status: unsafe status.pointee), head)
    // The client may still be sending what did not fit.
    connection.core.lingerOnClose(of: connection.fileDescriptor)
    var writer = ResponseWriter(
        core: connection.core, handle: unsafe ConnectionHandle(handle, on: connection.eventLoop),
        head: head)
    guard writer.prepare(response) == nil else { return nil }
    unsafe status.pointee = UInt32(response.status.code)
    return unsafe writer.takePrepared()
}
