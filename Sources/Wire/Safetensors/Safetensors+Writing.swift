extension Safetensors {
    /// The whole file. As in the reference implementation wider numbers come first and the header
    /// is filled up with spaces, so that every tensor lies at a multiple of its numbers' size.
    /// - Precondition: no two tensors have the same name.
    public var bytes: [UInt8] {
        let ordered = Number.allCases.flatMap { number in tensors.filter { $0.number == number } }
        var header = header(of: ordered)
        header += [UInt8](repeating: UInt8(ascii: " "), count: -header.count & 7)
        let length = UInt64(header.count)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(8 + header.count + tensors.reduce(0) { $0 + $1.bytes.count })
        for shift in stride(from: 0, to: 64, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: length >> shift))
        }
        bytes += header
        for tensor in ordered { bytes += tensor.bytes }
        return bytes
    }

    private func header(of ordered: [Tensor]) -> [UInt8] {
        precondition(Set(ordered.map(\.name)).count == ordered.count, "a name comes twice")
        return JSONText.object { text in
            if !metadata.isEmpty {
                text.field(Safetensors.metadataKey) { text in
                    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
                        text.field(key, value)
                    }
                }
            }
            var begin = 0
            for tensor in ordered {
                let end = begin + tensor.bytes.count
                text.field(tensor.name) { text in
                    text.field("dtype", tensor.number.rawValue)
                    text.field("shape", array: tensor.shape) { $0.integer($1) }
                    text.field("data_offsets", array: [begin, end]) { $0.integer($1) }
                }
                begin = end
            }
        }
    }
}
