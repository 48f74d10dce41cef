import HTTPTypes

/// The response header fields that the server sets itself: framing, the request's identifier, and
/// what libmicrohttpd adds.
enum ServerManagedFields {
    static func contains(_ name: HTTPField.Name) -> Bool {
        switch name.canonicalName {
        case "content-length", "transfer-encoding", "connection", "date", "keep-alive",
            "x-request-id":
            true
        default: false
        }
    }
}
