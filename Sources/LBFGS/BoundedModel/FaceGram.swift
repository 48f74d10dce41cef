/// The dot products of the pairs with one another, split by a face: over the parameters that are
/// free, and over those that the face holds.
///
/// Theory. B = theta I - W M W' restricted to a face needs S'S, S'Y and Y'Y over the free
/// parameters, and S'S and S'Y over the others (Byrd, Lu, Nocedal & Zhu 1995, section 5; L-BFGS-B's
/// `formk`). To compute them all costs O(m^2 n). L-BFGS-B adds and subtracts the products of the
/// parameters that enter and leave, for as long as the run lasts, and collects the rounding errors
/// of all of them. Here the matrices belong to a *base face*, and are a function of it and of the
/// pairs alone: a new pair adds a column, O(m n), in the pass that forms it. The parameters by
/// which a face differs from the base are moved in a copy, O(m^2) each. The base is replaced when
/// there are many of them. So rounding errors don't build up, and a snapshot holds the base face in
/// place of the matrices.
package struct FaceGram: Sendable {
    package init() {}

    /// The pairs of the rows and columns, by number.
    private(set) var numbers: [Int] = []
    private(set) var stride = 0
    /// S'S, S'Y and Y'Y over the free parameters, `stride` squared each.
    private(set) var free: [Double] = []
    /// The same over the others.
    private(set) var held: [Double] = []

    static let (ss, sy, yy) = (0, 1, 2)

    package var count: Int { numbers.count }

    @inline(__always)
    func index(_ matrix: Int, _ row: Int, _ column: Int) -> Int {
        (matrix &* stride &+ row) &* stride &+ column
    }

    mutating func removeAll() { numbers.removeAll(keepingCapacity: true) }

    /// Keeps the rows of pairs that come first in `pairs`, in their order.
    mutating func keep<Scalar>(_ pairs: ArraySlice<CurvaturePair<Scalar>>) {
        guard let oldest = pairs.first, let first = numbers.firstIndex(of: oldest.number),
            numbers.count - first <= pairs.count
        else { return removeAll() }
        for (index, number) in numbers[first...].enumerated()
        where pairs[pairs.startIndex + index].number != number {
            return removeAll()
        }
        guard first > 0 else { return }
        let (count, stride) = (self.count - first, self.stride)
        func shift(_ matrices: inout [Double]) {
            // Sound: rows and columns stay below the old count. A row moves to lower addresses,
            // over rows that have moved before.
            unsafe matrices.withUnsafeMutableBufferPointer { matrices in
                guard let base = matrices.baseAddress else { return }
                for matrix in 0..<3 {
                    for row in 0..<count {
                        let to = unsafe base + (matrix &* stride &+ row) &* stride
                        unsafe to.update(from: to + first &* (stride &+ 1), count: count)
                    }
                }
            }
        }
        shift(&free)
        shift(&held)
        numbers.removeFirst(first)
    }

    /// Calls `body` with the addresses of `free` and `held`.
    @inline(__always)
    func withPointers(_ body: (UnsafePointer<Double>, UnsafePointer<Double>) -> Void) {
        unsafe free.withUnsafeBufferPointer { free in
            unsafe held.withUnsafeBufferPointer { held in
                guard let free = free.baseAddress, let held = held.baseAddress else { return }
                unsafe body(free, held)
            }
        }
    }

    /// Appends the row and column of a pair.
    /// - Parameters:
    ///   - number: The pair's number.
    ///   - dots: For each pair, itself the last: s_i.s, y_i.s, s_i.y and y_i.y over the free
    ///     parameters from `freeStart` on, and over the others from `heldStart` on.
    package mutating func append(_ number: Int, _ dots: [Double], freeStart: Int, heldStart: Int) {
        let column = count
        if column >= stride { grow(to: max(8, 2 * stride)) }
        numbers.append(number)
        precondition(max(freeStart, heldStart) + 4 * column + 3 < dots.count)
        let stride = self.stride
        func set(_ matrices: inout [Double], _ start: Int) {
            // Sound: rows and columns are below `stride`, and the dots were checked above.
            unsafe matrices.withUnsafeMutableBufferPointer { matrices in
                unsafe dots.withUnsafeBufferPointer { dots in
                    guard let ss = matrices.baseAddress, let dots = dots.baseAddress else { return }
                    let (sy, yy) = unsafe (ss + stride * stride, ss + 2 * stride * stride)
                    for row in 0...column {
                        let own = unsafe dots + (start + 4 * row)
                        let (one, other) = (row * stride + column, column * stride + row)
                        unsafe ss[one] = own[0]
                        unsafe ss[other] = own[0]
                        unsafe sy[other] = own[1]
                        unsafe sy[one] = own[2]
                        unsafe yy[one] = own[3]
                        unsafe yy[other] = own[3]
                    }
                }
            }
        }
        set(&free, freeStart)
        set(&held, heldStart)
    }

    private mutating func grow(to wanted: Int) {
        let old = self
        stride = wanted
        free = [Double](repeating: 0, count: 3 * wanted * wanted)
        held = free
        for matrix in 0..<3 {
            for row in 0..<old.count {
                for column in 0..<old.count {
                    let (to, from) = (
                        index(matrix, row, column), old.index(matrix, row, column)
                    )
                    free[to] = old.free[from]
                    held[to] = old.held[from]
                }
            }
        }
    }

    /// Moves a parameter between the face and the free parameters. O(m^2).
    /// - Parameters:
    ///   - s: The parameter's number in each s; `count` numbers.
    ///   - y: The same of each y.
    ///   - isHeld: Whether the face holds it from now on.
    mutating func move(s: UnsafePointer<Double>, y: UnsafePointer<Double>, isHeld: Bool) {
        let (count, stride) = (self.count, self.stride)
        let sign = isHeld ? 1.0 : -1.0
        // Sound: rows and columns stay below `count`, which is at most `stride`.
        unsafe free.withUnsafeMutableBufferPointer { free in
            unsafe held.withUnsafeMutableBufferPointer { held in
                guard let free = free.baseAddress, let held = held.baseAddress else { return }
                for row in 0..<count {
                    let (a, b) = unsafe (sign * s[row], sign * y[row])
                    let ss = row &* stride
                    let sy = ss &+ stride &* stride
                    let yy = sy &+ stride &* stride
                    for column in 0..<count {
                        let (s, y) = unsafe (s[column], y[column])
                        unsafe held[ss &+ column] += a * s
                        unsafe free[ss &+ column] -= a * s
                        unsafe held[sy &+ column] += a * y
                        unsafe free[sy &+ column] -= a * y
                        unsafe held[yy &+ column] += b * y
                        unsafe free[yy &+ column] -= b * y
                    }
                }
            }
        }
    }
}
