import HTTPTypes

/// How a request's header delimits its body: RFC 9112, section 6.
package enum BodyFraming: Equatable {
    /// `Content-Length`, or no body.
    case sized(Int)
    /// `Transfer-Encoding: chunked`.
    case chunked

    package static let none = BodyFraming.sized(0)

    /// Reads the framing as strictly as the RFC allows a server to.
    ///
    /// Request smuggling hides a second request in the first by means of header fields that two
    /// parsers read differently. So everything ambiguous is rejected, including what the RFC lets a
    /// server resolve: repeated equal lengths, and a length together with a transfer coding.
    ///
    /// - Parameters:
    ///   - lengths: The values of all `Content-Length` fields.
    ///   - codings: The values of all `Transfer-Encoding` fields.
    /// - Throws: `RequestRejection.malformed`. The connection must then be closed, because it is
    ///   unknown where the next request begins.
    package init(
        lengths: [String], codings: [String], isHTTP11: Bool
    ) throws(RequestRejection) {
        switch (lengths.count, codings.count) {
        case (0, 0):
            self = .none
        case (1, 0):
            let digits = lengths[0].utf8
            guard !digits.isEmpty, digits.allSatisfy({ (0x30...0x39).contains($0) }),
                let length = Int(lengths[0])
            else { throw .malformed("Content-Length is not a number") }
            self = .sized(length)
        case (0, 1):
            guard isHTTP11 else { throw .malformed("Transfer-Encoding in an HTTP/1.0 request") }
            guard codings[0].lowercased() == "chunked" else {
                throw .malformed("the only supported transfer coding is chunked")
            }
            self = .chunked
        case (_, 0): throw .malformed("several Content-Length fields")
        case (0, _): throw .malformed("several Transfer-Encoding fields")
        case (_, _): throw .malformed("Content-Length together with Transfer-Encoding")
        }
    }

    package var isEmpty: Bool { self == .none }

    /// The announced length; 0 for a chunked body.
    package var length: Int {
        switch self {
        case .sized(let length): length
        case .chunked: 0
        }
    }
}
