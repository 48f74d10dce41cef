public import SessionModel

extension Safetensors {
    /// The whole file. As in the reference implementation, wider numbers come first and the header
    /// is padded with spaces, so that every tensor is aligned to its numbers' size.
    /// - Precondition: no two tensors have the same name.
    public var bytes: [UInt8] {
        let ordered = Number.allCases.flatMap { number in tensors.filter { $0.number == number } }
        var bytes = Safetensors.head(
            ordered.map { Entry(name: $0.name, number: $0.number, shape: $0.shape) },
            metadata: metadata)
        bytes.reserveCapacity(bytes.count + tensors.reduce(0) { $0 + $1.bytes.count })
        for tensor in ordered { bytes += tensor.bytes }
        return bytes
    }

    /// The header of a file whose data are the numbers of a vector, with a tensor for each
    /// parameter.
    public static func head(of specs: [ParameterSpec], dtype: DType) -> [UInt8] {
        head(
            specs.enumerated().map { index, spec in
                Entry(name: spec.name(at: index), number: Number(dtype), shape: spec.shape)
            }, metadata: [:])
    }

    /// The header's entry for a tensor.
    struct Entry<Number: TensorNumber> {
        var name: String
        var number: Number
        var shape: [Int]
    }

    /// The header, preceded by its length, of tensors that follow in this order.
    static func head<Number: TensorNumber>(
        _ entries: [Entry<Number>], metadata: [String: String]
    ) -> [UInt8] {
        var header = header(entries, metadata)
        header += [UInt8](repeating: UInt8(ascii: " "), count: -header.count & 7)
        let length = UInt64(header.count)
        return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + header
    }

    private static func header<Number: TensorNumber>(
        _ entries: [Entry<Number>], _ metadata: [String: String]
    ) -> [UInt8] {
        precondition(Set(entries.map(\.name)).count == entries.count, "a name comes twice")
        return JSONText.object { text in
            if !metadata.isEmpty {
                text.field(Safetensors.metadataKey) { text in
                    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
                        text.field(key, value)
                    }
                }
            }
            var begin = 0
            for entry in entries {
                let end = begin + entry.shape.reduce(entry.number.size, *)
                text.field(entry.name) { text in
                    text.field("dtype", entry.number.rawValue)
                    text.field("shape", array: entry.shape) { $0.integer($1) }
                    text.field("data_offsets", array: [begin, end]) { $0.integer($1) }
                }
                begin = end
            }
        }
    }
}
