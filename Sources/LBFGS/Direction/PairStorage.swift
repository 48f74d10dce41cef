/// The octets of a pair: s, then y, in the machine's byte order.
///
/// Long ones begin at a cache line, each at another offset within its page. The system's allocator
/// returns long arrays at the same offset of every page, in the middle of a line. Half of all loads
/// would then take two lines, and all pairs of a history would compete for the same few lines of
/// the first-level cache. With ten pairs of 10,000 numbers that took a third of an iteration.
struct PairStorage: Sendable {
    private var storage: [UInt8]
    private var start: Int
    let count: Int
    /// Whether the octets are aligned as described, or too short to need it.
    let isAligned: Bool

    private static let lineSize = 64
    private static let pageSize = 4096
    /// Shorter ones stay in the caches, wherever they begin.
    private static let alignedCountMin = 4 * pageSize

    /// Octets that are already in memory, without alignment. O(1).
    init(_ octets: [UInt8]) {
        storage = octets
        start = 0
        count = octets.count
        isAligned = count < Self.alignedCountMin
    }

    /// Zeros. O(count).
    init(count: Int, number: Int) {
        // Sound: all octets are initialized.
        unsafe self.init(count: count, number: number) {
            unsafe $0.initializeMemory(as: UInt8.self, repeating: 0)
        }
    }

    /// A copy. O(count).
    init(copying octets: ArraySlice<UInt8>, number: Int) {
        // Sound: both have as many octets.
        unsafe self.init(count: octets.count, number: number) {
            unsafe $0.copyBytes(from: octets)
        }
    }

    /// Octets that `fill` writes, all of them, in place. O(count).
    /// - Parameters:
    ///   - count: The number of octets.
    ///   - number: The pair's number. Pairs with consecutive numbers get different offsets.
    ///   - fill: Called once with the memory for the octets, which it must fill.
    init(count: Int, number: Int, filledBy fill: (UnsafeMutableRawBufferPointer) -> Void) {
        self.count = count
        isAligned = true
        let margin = count < Self.alignedCountMin ? 0 : Self.pageSize
        // 5 is prime to the 64 lines of a page, so that every line is used.
        let offset = number * 5 * Self.lineSize % Self.pageSize
        var start = 0
        // Sound: `fill` writes the octets, and those around them are zeroed.
        storage = unsafe [UInt8](unsafeUninitializedCapacity: count + margin) {
            buffer, initializedCount in
            let address = Int(bitPattern: buffer.baseAddress)
            start = margin == 0 ? 0 : (offset - address) & (Self.pageSize - 1)
            unsafe buffer[..<start].initialize(repeating: 0)
            let octets = UnsafeMutableRawBufferPointer(buffer)
            unsafe fill(UnsafeMutableRawBufferPointer(rebasing: octets[start..<start + count]))
            unsafe buffer[(start + count)..<(count + margin)].initialize(repeating: 0)
            initializedCount = count + margin
        }
        self.start = start
    }

    private init(storage: [UInt8], start: Int, count: Int, isAligned: Bool) {
        self.storage = storage
        self.start = start
        self.count = count
        self.isAligned = isAligned
    }

    /// The first `count` octets, in the same memory. O(1).
    func prefix(_ count: Int) -> PairStorage {
        precondition(count <= self.count)
        return PairStorage(storage: storage, start: start, count: count, isAligned: isAligned)
    }

    var octets: ArraySlice<UInt8> { storage[start..<start + count] }

    @inline(__always)
    func withUnsafeBytes<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        // Sound: the storage has start + count octets at least.
        unsafe storage.withUnsafeBytes {
            unsafe body(UnsafeRawBufferPointer(rebasing: $0[start..<start + count]))
        }
    }

    @inline(__always)
    mutating func withUnsafeMutableBytes(_ body: (UnsafeMutableRawBufferPointer) -> Void) {
        let range = start..<start + count
        // Sound: as above.
        unsafe storage.withUnsafeMutableBytes {
            unsafe body(UnsafeMutableRawBufferPointer(rebasing: $0[range]))
        }
    }
}

extension PairStorage: Equatable {
    static func == (one: PairStorage, other: PairStorage) -> Bool { one.octets == other.octets }
}
