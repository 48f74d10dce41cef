/// A session as one portable file, in parts: what its header says, and the bytes of its tensors.
///
/// The container is safetensors, so that the vectors can be read by what reads those. The last
/// tensor is the SHA-256 of all bytes before it.
public struct SessionFile: Sendable {
    /// The types of numbers, by their names in safetensors.
    public enum Number: String, Sendable, CaseIterable {
        case float64 = "F64"
        case float32 = "F32"
        case bfloat16 = "BF16"
        case octet = "U8"

        /// Bytes a number.
        public var size: Int {
            switch self {
            case .float64: 8
            case .float32: 4
            case .bfloat16: 2
            case .octet: 1
            }
        }
    }

    /// A tensor of one dimension. All of a session's are.
    public struct Entry: Equatable, Sendable {
        public var name: String
        public var number: Number
        public var count: Int

        /// - Precondition: Its bytes can be counted in an `Int`.
        public init(name: String, number: Number, count: Int) {
            self.name = name
            self.number = number
            self.count = count
        }

        public var byteCount: Int { count * number.size }
    }

    public struct Header: Equatable, Sendable {
        /// The strings under `__metadata__`.
        public var metadata: [String: String]
        /// In the order of their bytes; the digest last.
        public var entries: [Entry]

        public init(metadata: [String: String], entries: [Entry]) {
            self.metadata = metadata
            self.entries = entries
        }

        /// Bytes of all tensors.
        public var byteCount: Int { entries.reduce(0) { $0 + $1.byteCount } }
    }

    /// The last tensor, the SHA-256 of what precedes it.
    public static let digest = Entry(name: "sha256", number: .octet, count: 32)

    public var header: Header
    /// The bytes of all entries but the digest, in order.
    public var contents: [Octets]

    public init(metadata: [String: String], tensors: [(entry: Entry, octets: Octets)]) {
        header = Header(
            metadata: metadata, entries: tensors.map(\.entry) + [SessionFile.digest])
        contents = tensors.map(\.octets)
    }
}

extension Octets {
    /// Copies bytes that are in memory, beginning at `offset`, into `buffer`. Returns how many: as
    /// many as there are and as fit.
    /// - Precondition: They are one region, and not in a store.
    package func copy(from offset: Int, to buffer: UnsafeMutableRawBufferPointer) -> Int {
        func copy(_ bytes: UnsafeRawBufferPointer) -> Int {
            let count = min(buffer.count, bytes.count - offset)
            // Sound: no more than the buffer holds and the region has.
            unsafe buffer.copyMemory(
                from: UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count]))
            return count
        }
        // Sound: the region is used within the call.
        return switch self {
        case .bytes(let bytes): unsafe bytes.withUnsafeBytes { unsafe copy($0) }
        case .vector(let vector): unsafe vector.withUnsafeBytes { unsafe copy($0) }
        case .joined, .stored: preconditionFailure("octets that are no one region")
        }
    }
}
