/// Encodes `Codable` values as CBOR: what `PropertyListEncoder` does for the daemon, without
/// Foundation, which would make the library several times as large.
enum CBOREncoder {
    /// - Precondition: The value consists of Booleans, integers, `Double`, `String`, arrays and
    ///   keyed values, as all states do.
    static func encode(_ value: some Encodable) -> CBOR {
        do {
            return try CBORNode.encoding(value, path: []).value
        } catch {
            preconditionFailure("plain scalars can be encoded: \(error)")
        }
    }
}

/// A value that is being encoded. The containers of an encoder write to nodes.
private final class CBORNode {
    private enum Content {
        case value(CBOR)
        case array([CBORNode])
        case map([(key: String, node: CBORNode)])
    }

    private var content: Content

    private init(_ content: Content) { self.content = content }

    static func empty() -> CBORNode { CBORNode(.value(.null)) }

    static func encoding(_ value: some Encodable, path: [any CodingKey]) throws -> CBORNode {
        switch value {
        case let value as Bool: return CBORNode(.value(.bool(value)))
        case let value as Double: return CBORNode(.value(.number(value)))
        case let value as Float: return CBORNode(.value(.number(Double(value))))
        case let value as String: return CBORNode(.value(.text(value)))
        case let value as any BinaryInteger:
            guard let integer = Int64(exactly: value) else {
                throw EncodingError.invalidValue(
                    value, .init(codingPath: path, debugDescription: "too large an integer"))
            }
            return CBORNode(.value(.integer(integer)))
        default:
            let node = CBORNode.empty()
            try value.encode(to: NodeEncoder(node: node, codingPath: path))
            return node
        }
    }

    var value: CBOR {
        switch content {
        case .value(let value): value
        case .array(let nodes): .array(nodes.map(\.value))
        case .map(let entries): .map(entries.map { .init(key: $0.key, value: $0.node.value) })
        }
    }

    var count: Int {
        if case .array(let nodes) = content { nodes.count } else { 0 }
    }

    func becomeArray() { if case .value = content { content = .array([]) } }
    func becomeMap() { if case .value = content { content = .map([]) } }
    func become(_ other: CBORNode) { content = other.content }

    func append(_ node: CBORNode) {
        guard case .array(var nodes) = content else { return }
        nodes.append(node)
        content = .array(nodes)
    }

    func set(_ key: String, to node: CBORNode) {
        guard case .map(var entries) = content else { return }
        entries.append((key, node))
        content = .map(entries)
    }
}

private struct NodeEncoder: Encoder {
    let node: CBORNode
    let codingPath: [any CodingKey]
    let userInfo: [CodingUserInfoKey: Any] = [:]

    func container<Key: CodingKey>(keyedBy _: Key.Type) -> KeyedEncodingContainer<Key> {
        node.becomeMap()
        return KeyedEncodingContainer(KeyedNodes(node: node, codingPath: codingPath))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        node.becomeArray()
        return UnkeyedNodes(node: node, codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer {
        SingleNode(node: node, codingPath: codingPath)
    }
}

private struct KeyedNodes<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let node: CBORNode
    let codingPath: [any CodingKey]

    func encodeNil(forKey key: Key) { node.set(key.stringValue, to: .empty()) }

    func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
        node.set(key.stringValue, to: try .encoding(value, path: codingPath + [key]))
    }

    private func added(_ key: some CodingKey) -> NodeEncoder {
        let child = CBORNode.empty()
        node.set(key.stringValue, to: child)
        return NodeEncoder(node: child, codingPath: codingPath + [key])
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> { added(key).container(keyedBy: type) }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        added(key).unkeyedContainer()
    }

    func superEncoder() -> any Encoder { added(SuperKey()) }
    func superEncoder(forKey key: Key) -> any Encoder { added(key) }
}

/// The key of a class's superclass, which no state has.
struct SuperKey: CodingKey {
    let stringValue = "super"
    let intValue: Int? = nil
    init() {}
    init?(stringValue _: String) { nil }
    init?(intValue _: Int) { nil }
}

private struct UnkeyedNodes: UnkeyedEncodingContainer {
    let node: CBORNode
    let codingPath: [any CodingKey]
    var count: Int { node.count }

    func encodeNil() { node.append(.empty()) }

    func encode<Value: Encodable>(_ value: Value) throws {
        node.append(try .encoding(value, path: codingPath))
    }

    private func added() -> NodeEncoder {
        let child = CBORNode.empty()
        node.append(child)
        return NodeEncoder(node: child, codingPath: codingPath)
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type
    ) -> KeyedEncodingContainer<Nested> { added().container(keyedBy: type) }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { added().unkeyedContainer() }
    func superEncoder() -> any Encoder { added() }
}

private struct SingleNode: SingleValueEncodingContainer {
    let node: CBORNode
    let codingPath: [any CodingKey]

    func encodeNil() { node.become(.empty()) }

    func encode<Value: Encodable>(_ value: Value) throws {
        node.become(try .encoding(value, path: codingPath))
    }
}
