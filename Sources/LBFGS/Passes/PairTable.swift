/// Where a pair's numbers are while a pass runs, so that the inner loops touch no array.
///
/// Addresses are kept as integers: between two passes the table is nothing but room.
struct PairAddress: Sendable {
    var s: UInt = 0
    var y: UInt = 0
    /// The pair's columns of the small matrices, from the row of the oldest pair on.
    var sy: UInt = 0
    var yy: UInt = 0
    var dtype = HistoryDType.float64

    @inline(__always)
    var stepPointer: UnsafeRawPointer {
        // Sound: made from a pointer, in the pass that runs.
        unsafe UnsafeRawPointer(bitPattern: s).unsafelyUnwrapped
    }
    @inline(__always)
    var changePointer: UnsafeRawPointer {
        // Sound: as above.
        unsafe UnsafeRawPointer(bitPattern: y).unsafelyUnwrapped
    }
    @inline(__always)
    var stepColumn: UnsafePointer<Double> {
        // Sound: as above; an array of this type was there.
        unsafe UnsafePointer(bitPattern: sy).unsafelyUnwrapped
    }
    @inline(__always)
    var changeColumn: UnsafePointer<Double> {
        // Sound: as above.
        unsafe UnsafePointer(bitPattern: yy).unsafelyUnwrapped
    }
}

extension CurvaturePair {
    /// An array's numbers stay in their place for as long as somebody holds the array and nobody
    /// changes it: whoever uses the addresses sees to both.
    /// - Parameter index: Which of the pairs this one is, 0 the oldest.
    @inline(__always)
    func address(index: Int) -> PairAddress {
        let s = unsafe octets.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
        // Pairs that have left since this one was made have the first rows.
        let skipped = UInt(8 * (sy.count - 1 - index))
        return unsafe PairAddress(
            s: s, y: s + UInt(octets.count / 2),
            sy: sy.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) } + skipped,
            yy: unsafe yy.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) } + skipped,
            dtype: dtype)
    }
}

/// Memory that passes use again and again, so that an iteration allocates nothing. It holds
/// nothing that a result depends on: all workspaces are equal.
struct Workspace: Equatable, Sendable {
    /// The first `pairCount` are in use.
    var table = [PairAddress()]
    var pairCount = 0
    /// Per worker: strips and lane sums.
    var scratch: [Double] = []
    /// Per block: sums of one pass.
    var sums: [Double] = []
    /// Four of each pair: s.g, y.g, s.v, y.v.
    var dots: [Double] = []
    /// Factors of s and of y in the direction.
    var stepWeights = [0.0]
    var changeWeights = [0.0]
    /// Memory of the pair that left last, for the next one.
    var spareOctets = PairOctets([])
    var spareSY: [Double] = []
    var spareYY: [Double] = []

    static func == (_: Workspace, _: Workspace) -> Bool { true }

    /// Fills the table.
    @inline(__always)
    mutating func list<Scalar>(_ pairs: ArraySlice<CurvaturePair<Scalar>>) {
        while table.count < pairs.count { table.append(PairAddress()) }
        pairCount = pairs.count
        for index in 0..<pairCount {
            table[index] = pairs[pairs.startIndex + index].address(
                index: pairs.startIndex + index)
        }
    }
}

extension Array where Element == Double {
    /// Makes room for `count` numbers, keeping what memory there is.
    @inline(__always)
    mutating func grow(to count: Int) {
        if self.count < count { append(contentsOf: repeatElement(0, count: count - self.count)) }
    }
}
