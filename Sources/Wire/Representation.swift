/// A form in which a value can travel. Each has a folder or file of its own in this module; vectors
/// as raw octets and as safetensors take their place here beside the others.
public enum Representation: String, Equatable, Sendable, CaseIterable {
    case json = "application/json"
    case problem = "application/problem+json"
    case csv = "text/csv"
    /// Little-endian numbers, one vector.
    case octets = "application/octet-stream"
    /// Tensors by name: https://github.com/huggingface/safetensors.
    case safetensors = "application/vnd.safetensors"
    /// One JSON document a line.
    case ndjson = "application/x-ndjson"
    /// Server-sent events.
    case eventStream = "text/event-stream"
    case yaml = "application/yaml"
    /// Prometheus' exposition format.
    case prometheus = "text/plain"

    /// The media type without parameters, as it is negotiated.
    public var mediaType: String { rawValue }

    /// The media type with the parameters that its readers want to see.
    public var contentType: String {
        switch self {
        case .json, .problem, .octets, .safetensors, .ndjson, .eventStream, .yaml: rawValue
        case .csv: "text/csv; charset=utf-8; header=present"
        case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
        }
    }
}
