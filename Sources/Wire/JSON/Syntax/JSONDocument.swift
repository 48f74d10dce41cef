/// A request's JSON that was read, and is still to be made a request of.
public struct JSONDocument: Equatable, Sendable {
    let value: JSONValue

    init(value: JSONValue) { self.value = value }

    /// - Parameter isOptional: Whether an empty body counts as `{}`.
    public init(_ bytes: [UInt8], isOptional: Bool = false) throws(WireError) {
        value = bytes.isEmpty && isOptional ? .object([:]) : try JSONParser.parse(bytes)
    }
}
