internal import CPage
internal import HTTPServer
internal import HTTPTypes
internal import Hashing

/// A file of the page at `/ui`, compiled in.
struct PageFile: Sendable {
    let name: String
    let mediaType: String
    let bytes: [UInt8]
    /// With its quotes: a digest of the bytes, so that a browser asks for a file again only when
    /// the daemon has another one.
    let tag: String

    /// All of them. The first is the page itself.
    static let all: [PageFile] = (0..<cpage_file_count()).map { PageFile(at: $0) }

    private init(at index: Int) {
        // Sound: the index is below the count, and all of it is constants of these sizes.
        let file = unsafe cpage_file_at(index)
        unsafe name = String(cString: file.name)
        unsafe mediaType = String(cString: file.media_type)
        let source = unsafe Array(UnsafeBufferPointer(start: file.bytes, count: file.size))
        // The library comes without comments, but for the one that says whose it is.
        let isOwnCode = name != "uplot.js" && (name.hasSuffix(".js") || name.hasSuffix(".css"))
        bytes =
            isOwnCode ? Self.compacted(source, isStyle: name.hasSuffix(".css")) : source
        let digest = SHA256.hash(bytes).prefix(8)
        tag = "\"\(digest.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined())\""
    }

    /// JavaScript or CSS without indentation, without the comments that have lines of their own,
    /// and CSS without the spaces that separate nothing: a sixth of it. No text in these files
    /// continues on another line, so that indentation never counts.
    private static func compacted(_ source: [UInt8], isStyle: Bool) -> [UInt8] {
        var compacted: [UInt8] = []
        var isInComment = false
        for line in source.split(separator: UInt8(ascii: "\n")) {
            let code = line.drop { $0 == UInt8(ascii: " ") }
            if code.starts(with: "/*".utf8) { isInComment = true }
            if isInComment {
                isInComment = !code.reversed().starts(with: "/*".utf8)
            } else if !code.starts(with: "//".utf8) {
                compacted += isStyle ? unspaced(code) : Array(code)
                compacted.append(UInt8(ascii: "\n"))
            }
        }
        return compacted
    }

    private static func unspaced(_ style: ArraySlice<UInt8>) -> [UInt8] {
        var unspaced: [UInt8] = []
        for (index, byte) in zip(style.indices, style) {
            let next = index + 1 < style.endIndex ? style[index + 1] : 0
            let isNeedless =
                ":;,{".utf8.contains(unspaced.last ?? 0) || "{}".utf8.contains(next)
            if byte != UInt8(ascii: " ") || !isNeedless { unspaced.append(byte) }
        }
        return unspaced
    }

    /// A page that a foreign site can neither frame nor script, and that talks to nobody but the
    /// server it came from. It is revalidated at each visit, which costs a 304.
    static let headerFields: [(HTTPField.Name, String)] = [
        (
            .contentSecurityPolicy,
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
                + "img-src 'self' data:; frame-ancestors 'none'"
        ),
        (.xContentTypeOptions, "nosniff"),
        (.referrerPolicy, "no-referrer"),
        (.crossOriginResourcePolicy, "same-origin"),
        (.cacheControl, "no-cache"),
    ]

    func response(to call: Call) -> Response {
        let isKnown = call.hasSeen(tag)
        var response = Response(
            status: isKnown ? .notModified : .ok, body: isKnown ? .none : .bytes(bytes))
        if !isKnown { response.headerFields.append(.contentType, mediaType) }
        response.headerFields.append(.eTag, tag)
        for (name, value) in Self.headerFields { response.headerFields.append(name, value) }
        return response
    }
}
