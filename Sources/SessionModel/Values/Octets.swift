/// Bytes in whatever form they exist, so that nothing is copied to be digested, stored or sent.
///
/// A gradient of 1e8 numbers is used by the engine, the journal entry and the store at the same
/// time. All of them share one array.
public enum Octets: Sendable {
    case bytes(ArraySlice<UInt8>)
    /// The numbers' bytes, little-endian.
    case vector(Vector)
    /// Several, one after the other.
    case joined([Octets])
    /// On disk. They are read when they are needed.
    case stored(any StoredOctets)

    /// From this length on, bytes are staged, and snapshots are timed by bytes.
    public static let longMin = 1 << 20

    public init(_ bytes: [UInt8]) { self = .bytes(bytes[...]) }

    public var count: Int {
        switch self {
        case .bytes(let bytes): bytes.count
        case .vector(let vector): vector.count * vector.dtype.size
        case .joined(let parts): parts.reduce(0) { $0 + $1.count }
        case .stored(let stored): stored.count
        }
    }

    public var isEmpty: Bool { count == 0 }

    /// Calls `body` with all bytes, in one or several regions. Throws what `body` throws, and what
    /// reading stored bytes does.
    public func forEachRegion(_ body: (UnsafeRawBufferPointer) throws -> Void) throws {
        switch self {
        case .bytes(let bytes):
            // Sound: the region is used within the call.
            try unsafe bytes.withUnsafeBytes { try unsafe body($0) }
        case .vector(let vector):
            try unsafe vector.withUnsafeBytes { try unsafe body($0) }
        case .joined(let parts):
            for part in parts { try unsafe part.forEachRegion(body) }
        case .stored:
            let bytes = try bytes()
            // Sound: as above.
            try unsafe bytes.withUnsafeBytes { try unsafe body($0) }
        }
    }

    /// All bytes in one array. A copy, unless they are one already.
    public func bytes() throws(StoreError) -> [UInt8] {
        switch self {
        case .bytes(let bytes): return Array(bytes)
        case .vector(let vector): return vector.bytes
        case .joined(let parts):
            var all: [UInt8] = []
            all.reserveCapacity(count)
            for part in parts { all += try part.bytes() }
            return all
        case .stored(let stored):
            var failure: StoreError?
            // Sound: either all bytes are written or none count.
            let bytes = unsafe [UInt8](unsafeUninitializedCapacity: stored.count) { buffer, count in
                do throws(StoreError) {
                    try unsafe stored.read(into: UnsafeMutableRawBufferPointer(buffer))
                    count = stored.count
                } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
            return bytes
        }
    }

    /// Fills a buffer of `count` bytes.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws(StoreError) {
        if case .stored(let stored) = self { return try unsafe stored.read(into: buffer) }
        // Sound: there are as many.
        unsafe buffer.copyBytes(from: try bytes())
    }

    /// The vector with these bytes; nil when they are not whole numbers.
    package func vector(as dtype: DType) throws(StoreError) -> Vector? {
        switch self {
        case .vector(let vector) where vector.dtype == dtype: return vector
        case .stored(let stored):
            guard stored.count.isMultiple(of: dtype.size) else { return nil }
            var failure: StoreError?
            let vector = unsafe Vector(count: stored.count / dtype.size, dtype: dtype) { buffer in
                do throws(StoreError) {
                    try unsafe stored.read(into: buffer)
                } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
            return vector
        case .bytes, .vector, .joined: return Vector(bytes: try bytes(), as: dtype)
        }
    }
}

/// Bytes in a store, whose checksums are verified when they are read.
public protocol StoredOctets: Sendable {
    var count: Int { get }
    /// Fills a buffer of `count` bytes.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(StoreError)
}

extension Octets: ExpressibleByArrayLiteral {
    public init(arrayLiteral elements: UInt8...) { self = .bytes(elements[...]) }
}

/// Compares the bytes, wherever they are.
extension Octets: Equatable {
    public static func == (one: Octets, other: Octets) -> Bool {
        guard one.count == other.count, let left = try? one.bytes(), let right = try? other.bytes()
        else { return false }
        return left == right
    }
}
