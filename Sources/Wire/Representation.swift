public import SessionModel

/// A form in which a value can travel. Each has a folder or file of its own in this module.
public enum Representation: String, Equatable, Sendable, CaseIterable {
    case json = "application/json"
    case problem = "application/problem+json"
    case csv = "text/csv"
    /// Little-endian numbers, one vector.
    case octets = "application/octet-stream"
    /// Tensors by name: https://github.com/huggingface/safetensors.
    case safetensors = "application/vnd.safetensors"
    /// One array in NumPy's format, under the name that serving tools have given it.
    case npy = "application/x-npy"
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
        case .json, .problem, .octets, .safetensors, .npy, .ndjson, .eventStream, .yaml: rawValue
        case .csv: "text/csv; charset=utf-8; header=present"
        case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
        }
    }

    /// The forms that end in the numbers of one vector as they are in memory.
    public static let vectors: [Representation] = [.octets, .safetensors, .npy]

    /// What stands before the numbers of a vector: nil where the form is none of `vectors`, and
    /// nothing in octets.
    ///
    /// - Parameter specs: The parameters that the vector has one after the other.
    public func vectorHead(of specs: [ParameterSpec], dtype: DType) -> [UInt8]? {
        switch self {
        case .octets: []
        case .safetensors: Safetensors.head(of: specs, dtype: dtype)
        case .npy: Npy.head(count: specs.reduce(0) { $0 + $1.count }, dtype: dtype)
        case .json, .problem, .csv, .ndjson, .eventStream, .yaml, .prometheus: nil
        }
    }
}
