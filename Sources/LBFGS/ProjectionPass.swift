/// The first of an iteration's two passes over the history: the dot products of every s and y with
/// the gradient g and with the newest change v = g - g_before.
///
/// Theory: 2k vectors meet 2 others. Done one dot product at a time that would move 8 k n numbers.
/// Here a stretch of g and v stays in the cache while the same stretch of two pairs at a time
/// streams past once, and 2 k n numbers move. The new pair s = t d, v is made first in each stretch
/// and meets g and itself while it is there.
///
/// A stretch is long, since memory answers whoever reads on and on: turning to another pair after
/// every 512 numbers cost a third of the time. Two pairs: one took half as long again, and four
/// about twice as long.
///
/// The inner loop takes s and y together, so that g and v are loaded once for both, two registers
/// of each at a time: the four sums are eight of the machine's sixteen registers. A load that takes
/// two lines costs two, so the strips of g and v begin at a line, as pairs do (`PairOctets`).
///
/// Pairs are taken from the newest to the oldest, and `CombinationPass` begins with the last strip
/// and the oldest pair, so that each pass begins with what the one before has left in the caches.
///
/// Bits: a dot product here has those of `EngineScalar.dot` with the stored numbers.
@unsafe struct ProjectionPass<Scalar: EngineScalar> {
    /// Blocks that one pair after the other streams past: long enough for the machine to see the
    /// streams coming, short enough for g and v to stay in the second- or third-level cache.
    static var blocksMax: Int { 16 }
    /// Pairs that stream past side by side, and the numbers of each that are taken in turn: four
    /// streams under way keep memory busier than two.
    static var group: Int { 2 }
    static var partLength: Int { 64 }
    static var dotsEach: Int { 4 }
    /// Four sums in sixteen lanes.
    static var lanesEach: Int { 64 }

    /// How the new pair comes to be, and where it goes.
    @unsafe struct NewPair {
        var previousGradient: UnsafePointer<Scalar>
        var direction: UnsafePointer<Scalar>
        var stepLength: Double
        var dtype: HistoryDType
        var s: UnsafeMutableRawPointer
        var y: UnsafeMutableRawPointer
    }

    let count: Int
    let gradient: UnsafePointer<Scalar>
    let newPair: NewPair?
    /// The pairs that are there, oldest first.
    let table: UnsafePointer<PairAddress>
    let pairCount: Int
    /// [block][pair][dot]; the new pair is the last one.
    let sums: UnsafeMutablePointer<Double>
    /// `scratchLength` numbers for each worker.
    let scratch: UnsafeMutablePointer<Double>

    static func scratchLength(count: Int) -> Int {
        unsafe 3 * lineAligned(min(count, blocksMax * blockLength)) + group * lanesEach
    }

    @inline(__always)
    func run(worker: Int, blocks: Range<Int>) {
        // Sound: the caller made all memory as long as the layout above says; strips end at
        // `count`.
        let start = blocks.lowerBound * blockLength
        let length = unsafe min(blocks.upperBound * blockLength, count) - start
        let room = unsafe lineAligned(min(count, Self.blocksMax * blockLength))
        let gradientStrip = unsafe scratch + worker * Self.scratchLength(count: count)
        let changeStrip = unsafe gradientStrip + room
        let stepStrip = unsafe changeStrip + room
        let lanes = unsafe stepStrip + room
        let g = unsafe widened(gradient + start, length, scratch: gradientStrip)
        var v = unsafe g
        if let newPair = unsafe newPair {
            var s = UnsafeRawPointer(stepStrip)
            unsafe (s, v) = unsafe make(newPair, start, length, changeStrip, stepStrip)
            for block in blocks {
                let at = block * blockLength - start
                unsafe lanes.update(repeating: 0, count: Self.lanesEach)
                unsafe accumulate(
                    Double.self, s + 8 * at, UnsafeRawPointer(v + at), g + at, v + at,
                    min(blockLength, length - at), lanes)
                unsafe fold(lanes, block, pairCount)
            }
        }
        var last = unsafe pairCount
        while last > 0 {
            let first = unsafe max(0, last - Self.group)
            for block in blocks {
                var at = block * blockLength - start
                let end = min(at + blockLength, length)
                unsafe lanes.update(repeating: 0, count: Self.group * Self.lanesEach)
                while at < end {
                    let part = unsafe min(Self.partLength, end &- at)
                    for index in first..<last {
                        unsafe accumulate(
                            index, start &+ at, g + at, v + at, part,
                            lanes + (index &- first) &* Self.lanesEach)
                    }
                    at &+= part
                }
                for index in first..<last {
                    unsafe fold(lanes + (index - first) * Self.lanesEach, block, index)
                }
            }
            last = first
        }
    }

    /// Writes the four sums of a pair over a block.
    @inline(__always)
    private func fold(_ lanes: UnsafeMutablePointer<Double>, _ block: Int, _ pair: Int) {
        // Sound: as above.
        let target = unsafe sums + (block * (pairCount + 1) + pair) * Self.dotsEach
        for index in unsafe 0..<Self.dotsEach {
            let even = unsafe UnsafeRawPointer(lanes + 16 * index).loadUnaligned(as: Lanes.self)
            let odd = unsafe UnsafeRawPointer(lanes + 16 * index + 8).loadUnaligned(as: Lanes.self)
            unsafe target[index] = folded(even + odd)
        }
    }

    /// g as Float64, at the beginning of a line of memory.
    @inline(__always)
    private func widened(
        _ values: UnsafePointer<Scalar>, _ length: Int, scratch: UnsafeMutablePointer<Double>
    ) -> UnsafePointer<Double> {
        // Sound: `length` numbers are there to read and have room in the strip.
        var offset = 0
        while offset &+ 8 <= length {
            unsafe UnsafeMutableRawPointer(scratch + offset).storeBytes(
                of: lanes(values, offset), as: Lanes.self)
            offset &+= 8
        }
        while offset < length {
            unsafe scratch[offset] = unsafe Double(values[offset])
            offset += 1
        }
        return unsafe UnsafePointer(scratch)
    }

    /// Writes a strip of the new pair, and leaves what was written in the strips as Float64.
    @inline(__always)
    private func make(
        _ new: NewPair, _ start: Int, _ length: Int,
        _ changeStrip: UnsafeMutablePointer<Double>, _ stepStrip: UnsafeMutablePointer<Double>
    ) -> (UnsafeRawPointer, UnsafePointer<Double>) {
        switch unsafe new.dtype {
        case .float64: unsafe make(Double.self, new, start, length, changeStrip, stepStrip)
        case .float32: unsafe make(Float.self, new, start, length, changeStrip, stepStrip)
        case .bfloat16: unsafe make(BFloat16.self, new, start, length, changeStrip, stepStrip)
        }
    }

    @inline(__always)
    private func make<Stored: StoredNumber>(
        _: Stored.Type, _ new: NewPair, _ start: Int, _ length: Int,
        _ changeStrip: UnsafeMutablePointer<Double>, _ stepStrip: UnsafeMutablePointer<Double>
    ) -> (UnsafeRawPointer, UnsafePointer<Double>) {
        let size = MemoryLayout<Stored>.stride
        // Sound: `length` numbers from `start` on are there to read, and have room in the pair
        // and in the strips.
        let (s, y) = unsafe (new.s + start * size, new.y + start * size)
        let t = unsafe new.stepLength
        var offset = 0
        while offset &+ 8 <= length {
            let at = start + offset
            let step = unsafe lanes(new.direction, at) * t
            let change = unsafe lanes(gradient, at) - lanes(new.previousGradient, at)
            unsafe Stored.narrowed(step, to: s + offset * size)
            unsafe Stored.narrowed(change, to: y + offset * size)
            offset &+= 8
        }
        while offset < length {
            let at = start + offset
            let change = unsafe Double(gradient[at]) - Double(new.previousGradient[at])
            unsafe s.storeBytes(
                of: Stored.stored(Double(new.direction[at]) * t),
                toByteOffset: offset * size, as: Stored.self)
            unsafe y.storeBytes(
                of: Stored.stored(change), toByteOffset: offset * size, as: Stored.self)
            offset += 1
        }
        let (storedStep, storedChange) = (UnsafeRawPointer(s), UnsafeRawPointer(y))
        if Stored.self == Double.self {
            return unsafe (storedStep, storedChange.assumingMemoryBound(to: Double.self))
        }
        offset = 0
        while offset + tileWidth <= length {
            unsafe UnsafeMutableRawPointer(stepStrip + offset).storeBytes(
                of: Stored.tile(storedStep, offset), as: Tile.self)
            unsafe UnsafeMutableRawPointer(changeStrip + offset).storeBytes(
                of: Stored.tile(storedChange, offset), as: Tile.self)
            offset &+= tileWidth
        }
        while offset < length {
            unsafe stepStrip[offset] = unsafe Stored.one(storedStep, offset)
            unsafe changeStrip[offset] = unsafe Stored.one(storedChange, offset)
            offset &+= 1
        }
        return unsafe (UnsafeRawPointer(stepStrip), UnsafePointer(changeStrip))
    }

    @inline(__always)
    private func accumulate(
        _ index: Int, _ at: Int, _ g: UnsafePointer<Double>, _ v: UnsafePointer<Double>,
        _ length: Int, _ lanes: UnsafeMutablePointer<Double>
    ) {
        // Sound: `index` is below the number of pairs, and `length` numbers from `at` on are there.
        let pair = unsafe table[index]
        let offset = at * pair.dtype.size
        let (s, y) = unsafe (pair.stepPointer + offset, pair.changePointer + offset)
        switch pair.dtype {
        case .float64: unsafe accumulate(Double.self, s, y, g, v, length, lanes)
        case .float32: unsafe accumulate(Float.self, s, y, g, v, length, lanes)
        case .bfloat16: unsafe accumulate(BFloat16.self, s, y, g, v, length, lanes)
        }
    }

    /// Adds to the lanes of s.g, y.g, s.v and y.v. Sixteen numbers at a time; of the last few of
    /// a vector eight go to the first half of the lanes, if there are eight, and the rest to the
    /// second.
    @inline(__always)
    private func accumulate<Stored: StoredNumber>(
        _: Stored.Type, _ s: UnsafeRawPointer, _ y: UnsafeRawPointer, _ g: UnsafePointer<Double>,
        _ v: UnsafePointer<Double>, _ length: Int, _ lanes: UnsafeMutablePointer<Double>
    ) {
        let whole = length & ~15
        // Sound: `length` numbers are there to read, and 64 lanes to change.
        unsafe meet(Stored.self, s, y, g, v, whole, lanes)
        if whole < length {
            let target = unsafe length - whole >= 8 ? lanes : lanes + 8
            for offset in whole..<length {
                let lane = offset - whole
                let (s, y) = unsafe (Stored.one(s, offset), Stored.one(y, offset))
                let (g, v) = unsafe (g[offset], v[offset])
                unsafe target[lane] += s * g
                unsafe target[lane + 16] += y * g
                unsafe target[lane + 32] += s * v
                unsafe target[lane + 48] += y * v
            }
        }
    }

    /// Adds to the sixteen lanes of the four dot products; `length` is a multiple of sixteen.
    @inline(__always)
    private func meet<Stored: StoredNumber>(
        _: Stored.Type, _ s: UnsafeRawPointer, _ y: UnsafeRawPointer, _ g: UnsafePointer<Double>,
        _ v: UnsafePointer<Double>, _ length: Int, _ lanes: UnsafeMutablePointer<Double>
    ) {
        // Sound: as above.
        let (g, v) = unsafe (UnsafeRawPointer(g), UnsafeRawPointer(v))
        let sums = UnsafeMutableRawPointer(lanes)
        func load(_ lane: Int) -> Tile { unsafe Double.tile(UnsafeRawPointer(sums), lane) }
        func store(_ value: Tile, _ lane: Int) {
            unsafe sums.storeBytes(of: value, toByteOffset: 8 &* lane, as: Tile.self)
        }
        let next = tileWidth
        var lane = 0
        while lane < 16 {
            var (sg0, sg1) = (load(lane), load(lane &+ next))
            var (yg0, yg1) = (load(lane &+ 16), load(lane &+ 16 &+ next))
            var (sv0, sv1) = (load(lane &+ 32), load(lane &+ 32 &+ next))
            var (yv0, yv1) = (load(lane &+ 48), load(lane &+ 48 &+ next))
            var offset = lane
            while offset < length {
                let (s0, y0) = unsafe (Stored.tile(s, offset), Stored.tile(y, offset))
                let (g0, v0) = unsafe (Double.tile(g, offset), Double.tile(v, offset))
                sg0 += s0 * g0
                yg0 += y0 * g0
                sv0 += s0 * v0
                yv0 += y0 * v0
                let (s1, y1) = unsafe (
                    Stored.tile(s, offset &+ next), Stored.tile(y, offset &+ next)
                )
                let (g1, v1) = unsafe (
                    Double.tile(g, offset &+ next), Double.tile(v, offset &+ next)
                )
                sg1 += s1 * g1
                yg1 += y1 * g1
                sv1 += s1 * v1
                yv1 += y1 * v1
                offset &+= 16
            }
            store(sg0, lane)
            store(sg1, lane &+ next)
            store(yg0, lane &+ 16)
            store(yg1, lane &+ 16 &+ next)
            store(sv0, lane &+ 32)
            store(sv1, lane &+ 32 &+ next)
            store(yv0, lane &+ 48)
            store(yv1, lane &+ 48 &+ next)
            lane &+= 2 &* tileWidth
        }
    }
}
