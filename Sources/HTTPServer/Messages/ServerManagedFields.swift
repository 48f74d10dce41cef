import HTTPTypes

/// The response header fields that the server sets itself: framing, and what libmicrohttpd adds.
enum ServerManagedFields {
    static func contains(_ name: HTTPField.Name) -> Bool {
        switch name.canonicalName {
        case "content-length", "transfer-encoding", "connection", "date", "keep-alive": true
        default: false
        }
    }
}
