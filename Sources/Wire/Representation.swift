public import SessionModel

/// A representation of a value on the wire. Each has a folder or file of its own in this module.
public enum Representation: String, Equatable, Sendable, CaseIterable {
    case json = "application/json"
    case problem = "application/problem+json"
    case csv = "text/csv"
    /// Little-endian numbers, one vector.
    case octets = "application/octet-stream"
    /// Tensors by name: https://github.com/huggingface/safetensors.
    case safetensors = "application/vnd.safetensors"
    /// One array in NumPy's format, under the media type that model servers use.
    case npy = "application/x-npy"
    /// A session as a portable file, in the safetensors format.
    case sessionFile = "application/vnd.lbfgsd.session"
    /// One JSON document a line.
    case ndjson = "application/x-ndjson"
    /// Server-sent events.
    case eventStream = "text/event-stream"
    case yaml = "application/yaml"
    case html = "text/html"
    /// Prometheus' exposition format.
    case prometheus = "text/plain"

    /// The media type without parameters, as it is negotiated.
    public var mediaType: String { rawValue }

    /// The media type with its parameters, for Content-Type.
    public var contentType: String {
        switch self {
        case .json, .problem, .octets, .safetensors, .npy, .sessionFile, .ndjson, .eventStream,
            .yaml:
            rawValue
        case .csv: "text/csv; charset=utf-8; header=present"
        case .html: "text/html; charset=utf-8"
        case .prometheus: "text/plain; version=0.0.4; charset=utf-8"
        }
    }

    /// The binary representations: a header, then the numbers of one vector as they are in memory.
    public static let vectors: [Representation] = [.octets, .safetensors, .npy]

    /// The header before the numbers of a vector; empty for octets, nil for representations that
    /// are not in `vectors`.
    ///
    /// - Parameter specs: The parameters of the vector, in order.
    public func vectorHead(of specs: [ParameterSpec], dtype: DType) -> [UInt8]? {
        switch self {
        case .octets: []
        case .safetensors: Safetensors.head(of: specs, dtype: dtype)
        case .npy: Npy.head(count: specs.reduce(0) { $0 + $1.count }, dtype: dtype)
        case .json, .problem, .csv, .sessionFile, .ndjson, .eventStream, .yaml, .html, .prometheus:
            nil
        }
    }
}
