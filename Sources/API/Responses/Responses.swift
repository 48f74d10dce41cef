internal import HTTPServer
internal import HTTPTypes
internal import Sessions
internal import Wire

// Responses from values: bodies, header fields, validators and links.

extension Response {
    init(
        _ body: [UInt8], as representation: Representation = .json,
        status: HTTPResponse.Status = .ok, tag: EntityTag? = nil
    ) {
        self.init(status: status, body: .bytes(body))
        headerFields.append(.contentType, representation.contentType)
        if let tag { headerFields.append(.eTag, tag.text(as: representation)) }
    }

    /// A vector in one of the binary representations; nil for any other.
    init?(
        _ vector: Vector, of specs: [ParameterSpec], as representation: Representation,
        status: HTTPResponse.Status = .ok, tag: EntityTag
    ) {
        guard let head = representation.vectorHead(of: specs, dtype: vector.dtype) else {
            return nil
        }
        self.init(head, vector, as: representation, status: status, tag: tag)
    }

    /// Numbers, and what their form says before them.
    init(
        _ head: [UInt8], _ vector: Vector, as representation: Representation,
        status: HTTPResponse.Status = .ok, tag: EntityTag
    ) {
        self.init([], as: representation, status: status, tag: tag)
        body = .source(VectorSource(head: head, vector: vector))
    }

    func with(_ name: HTTPField.Name, _ value: String) -> Response {
        var response = self
        response.headerFields[name] = value
        return response
    }

    /// Adds fields, none of which the response has yet.
    func with(_ fields: [(name: String, value: String)]) -> Response {
        var response = self
        for (name, value) in fields {
            if let name = HTTPField.Name.octets[name] ?? HTTPField.Name(name) {
                response.headerFields.append(name, value)
            }
        }
        return response
    }

    /// Adds `Idempotent-Replayed` when the request repeats an earlier one.
    func replayed(_ isReplay: Bool) -> Response {
        isReplay ? with(.idempotentReplayed, "true") : self
    }

    /// 304 when the client has this state already.
    func unlessSeen(_ tag: EntityTag, by call: Call) -> Response {
        unlessSeen(tag.text(as: call.representation), by: call)
    }

    func unlessSeen(_ tag: String, by call: Call) -> Response {
        guard call.hasSeen(tag) else { return self }
        return Response(status: .notModified).with(.eTag, tag)
    }

    /// Adds the Link field of the next page. `query` is the rest of the request's query.
    func linking(to path: String, query: [(name: String, value: String?)]) -> Response {
        let items = query.compactMap { name, value in
            value.map { "\(name)=\(percentEncoded($0))" }
        }
        return with(.link, "<\(path)?\(items.joined(separator: "&"))>; rel=\"next\"")
    }
}

/// Encodes all but the unreserved characters of RFC 3986, section 2.3.
private func percentEncoded(_ text: String) -> String {
    var encoded = ""
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: "~"):
            encoded.unicodeScalars.append(Unicode.Scalar(byte))
        default:
            encoded += "%" + (byte < 0x10 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }
    }
    return encoded
}

/// The paths of resources.
enum Location {
    static func session(_ id: SessionID) -> String { "/v1/sessions/\(id)" }

    static func ensemble(_ id: EnsembleID) -> String { "/v1/ensembles/\(id)" }

    static func step(_ number: StepNumber, of id: SessionID) -> String {
        "\(session(id))/steps/\(number)"
    }

    static func group(_ index: Int, of id: SessionID) -> String {
        "\(session(id))/param-groups/\(index)"
    }

    static func hook(_ hook: String, of id: SessionID) -> String { "\(session(id))/hooks/\(hook)" }

    static func checkpoint(_ number: CheckpointNumber, of id: SessionID) -> String {
        "\(session(id))/checkpoints/\(number)"
    }
}
