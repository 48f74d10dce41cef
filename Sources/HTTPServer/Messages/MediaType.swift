/// Comparison of media types: RFC 9110, section 8.3.1.
package enum MediaType {
    /// Whether a body with this `Content-Type` has one of the accepted types. Parameters such as
    /// `charset` are ignored. A body without a type is not accepted: a web page can make a browser
    /// send one, but one with a type such as JSON's only to its own site.
    package static func accepts(_ contentType: String?, _ accepted: [String]) -> Bool {
        guard let contentType else { return false }
        let end = contentType.utf8.firstIndex(of: UInt8(ascii: ";")) ?? contentType.endIndex
        var essence = contentType[..<end]
        while let last = essence.utf8.last, last == 0x20 || last == 0x09 { essence.removeLast() }
        if accepted.contains(where: { $0 == essence }) { return true }
        let lowered = essence.lowercased()
        return accepted.contains(lowered)
    }
}
