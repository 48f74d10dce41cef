/// The numbers of a pair: s, then y, in the machine's byte order.
///
/// Long ones begin at a line of memory, each at another place within its page. Memory that the
/// system hands out for long arrays begins at the same place of every page, in the middle of a
/// line: then half of all loads take two lines, and all pairs of a history meet in the same few
/// lines of the first-level cache. At n = 10,000 with ten pairs that cost a third of an iteration.
struct PairOctets: Sendable {
    private var storage: [UInt8]
    private var start: Int
    let count: Int
    /// Whether it was placed as above, or had no need to be.
    let isPlaced: Bool

    private static let lineSize = 64
    private static let pageSize = 4096
    /// Shorter ones stay in the caches, wherever they are.
    private static let placedCountMin = 4 * pageSize

    /// Octets as they are.
    init(_ octets: [UInt8]) {
        storage = octets
        start = 0
        count = octets.count
        isPlaced = count < Self.placedCountMin
    }

    /// Zeros.
    /// - Parameter number: Pairs with numbers in a row are placed apart from each other.
    init(count: Int, number: Int) {
        self.count = count
        isPlaced = true
        guard count >= Self.placedCountMin else {
            storage = [UInt8](repeating: 0, count: count)
            start = 0
            return
        }
        // 5 lines is prime to the 64 of a page: every line has its turn.
        let place = number * 5 * Self.lineSize % Self.pageSize
        storage = [UInt8](repeating: 0, count: count + Self.pageSize)
        let address = unsafe storage.withUnsafeBytes { Int(bitPattern: $0.baseAddress) }
        // Behind the array's header, so within the page that was added.
        start = (place - address) & (Self.pageSize - 1)
    }

    /// A copy.
    init(copying octets: ArraySlice<UInt8>, number: Int) {
        self.init(count: octets.count, number: number)
        // Sound: both have as many.
        unsafe withUnsafeMutableBytes { unsafe $0.copyBytes(from: octets) }
    }

    /// Octets that `fill` writes, all of them, to where they stay.
    init(count: Int, number: Int, filledBy fill: (UnsafeMutableRawBufferPointer) -> Void) {
        self.count = count
        isPlaced = true
        let margin = count < Self.placedCountMin ? 0 : Self.pageSize
        let place = number * 5 * Self.lineSize % Self.pageSize
        var start = 0
        // Sound: the octets are filled, and what lies around them is zeroed.
        storage = unsafe [UInt8](unsafeUninitializedCapacity: count + margin) { room, initialized in
            let address = Int(bitPattern: room.baseAddress)
            start = margin == 0 ? 0 : (place - address) & (Self.pageSize - 1)
            unsafe room[..<start].initialize(repeating: 0)
            let octets = UnsafeMutableRawBufferPointer(room)
            unsafe fill(UnsafeMutableRawBufferPointer(rebasing: octets[start..<start + count]))
            unsafe room[(start + count)..<(count + margin)].initialize(repeating: 0)
            initialized = count + margin
        }
        self.start = start
    }

    /// The first of them, where they are.
    func prefix(_ count: Int) -> PairOctets {
        precondition(count <= self.count)
        return PairOctets(storage: storage, start: start, count: count, isPlaced: isPlaced)
    }

    private init(storage: [UInt8], start: Int, count: Int, isPlaced: Bool) {
        self.storage = storage
        self.start = start
        self.count = count
        self.isPlaced = isPlaced
    }

    var octets: ArraySlice<UInt8> { storage[start..<start + count] }

    @inline(__always)
    func withUnsafeBytes<Value>(_ body: (UnsafeRawBufferPointer) -> Value) -> Value {
        // Sound: the storage holds start + count octets at least.
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

extension PairOctets: Equatable {
    static func == (one: PairOctets, other: PairOctets) -> Bool { one.octets == other.octets }
}
