/// Memory that the passes use again and again, so that an iteration allocates nothing. No result
/// depends on it: all workspaces are equal.
struct Workspace: Equatable, Sendable {
    /// The pairs of the running pass; the first `pairCount` entries are in use.
    var table = [PairAddress()]
    var pairCount = 0
    /// For each worker: strips of vectors and lanes of sums.
    var scratch: [Double] = []
    /// For each block: the sums of one pass.
    var sums: [Double] = []
    /// Four for each pair: s.g, y.g, s.v, y.v.
    var dots: [Double] = []
    /// The factors of the s and of the y in the direction.
    var stepWeights = [0.0]
    var changeWeights = [0.0]
    /// The memory of the pair that was dropped last, for the next one.
    var spareStorage = PairStorage([])
    var spareSY: [Double] = []
    var spareYY: [Double] = []

    static func == (_: Workspace, _: Workspace) -> Bool { true }

    /// Fills the table.
    @inline(__always)
    mutating func setTable<Scalar>(_ pairs: ArraySlice<CurvaturePair<Scalar>>) {
        while table.count < pairs.count { table.append(PairAddress()) }
        pairCount = pairs.count
        for index in 0..<pairCount {
            table[index] = pairs[pairs.startIndex + index].address(
                index: pairs.startIndex + index)
        }
    }
}

extension Array where Element == Double {
    /// Lengthens the array to at least `count` numbers.
    @inline(__always)
    mutating func grow(to count: Int) {
        if self.count < count { append(contentsOf: repeatElement(0, count: count - self.count)) }
    }
}
