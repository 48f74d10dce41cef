import HTTPTypes

/// How long a request says its body is: RFC 9112 section 6.
package enum Framing: Equatable {
    case sized(Int)
    case chunked

    package static let none = Framing.sized(0)

    /// Reads the framing of a header as strictly as the RFC allows a server to.
    ///
    /// Two messages hidden in one (request smuggling) live on headers that two parsers read
    /// differently. So whatever could be read in two ways is refused, also where the RFC would
    /// let a server choose: several equal lengths, a length beside a transfer coding.
    ///
    /// - Throws: `Refusal.malformed`. The connection must then be closed: where the next request
    ///   begins is unknown.
    package init(
        lengths: [String], codings: [String], isHTTP11: Bool
    ) throws(Refusal) {
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
                throw .malformed("the only transfer coding known here is chunked")
            }
            self = .chunked
        case (_, 0): throw .malformed("several Content-Length fields")
        case (0, _): throw .malformed("several Transfer-Encoding fields")
        case (_, _): throw .malformed("Content-Length together with Transfer-Encoding")
        }
    }

    package var isEmpty: Bool { self == .none }
}
