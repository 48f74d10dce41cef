/// The first of an iteration's two passes over the history: the dot products of every s and y with
/// the gradient g and with its newest change v = g - g_previous.
///
/// Theory. 2 k vectors are multiplied by 2 others. One dot product at a time would move 8 k n
/// numbers of memory. Here a stretch of g and v stays in the cache while the same stretch of the
/// pairs, two at a time, is read once, so that 2 k n numbers move. The new pair s = t d, v is
/// formed first in each stretch, and multiplied by g and by itself while it is in the cache.
///
/// Stretches are long, because memory is fastest for long sequential reads: with a change to
/// another pair after every 512 numbers the pass took a third longer. Two pairs at a time, because
/// with one the pass took half as long again, and with four about twice as long.
///
/// The inner loop takes s and y together, so that g and v are loaded once for both, in two
/// registers each. The four sums are then eight of the machine's sixteen registers, which is why
/// the loop is unrolled by hand. A load that crosses a cache line costs two, so the strips of g and
/// v begin at a line, as pairs do (`PairStorage`).
///
/// At n = 1e4 the time goes into the four products and sums for each number of a pair, and a
/// conversion to Float64 costs as much as a sum, on the same units of the processor. With float32 g
/// and v, which are used in place and need no strip, products are exact and are fused with the
/// sums. The multipliers then do both, and the other units are free to convert; the bits are the
/// same.
///
/// Pairs are taken from the newest to the oldest. `CombinationPass` begins with the last strip and
/// the oldest pair, so that each pass begins with what the one before has left in the caches.
///
/// Bits: those of `EngineScalar.dot` with the stored numbers.
@unsafe struct DotProductPass<Scalar: EngineScalar> {
    /// Blocks of a stretch: long enough for the processor to prefetch the streams, short enough for
    /// g and v to stay in the second- or third-level cache.
    static var blocksMax: Int { 16 }
    /// Pairs that are read side by side: four streams keep memory busier than two.
    static var group: Int { 2 }
    /// Octets of one pair that are taken before the next. Longer parts wait for memory (float64 at
    /// n = 1e6: 1.3 times as long with four times as many, float32 1.1 with twice), shorter ones
    /// for the sums that each part loads and stores (float32 at 1e4: 1.1 with half as many).
    static var partSize: Int { 512 }
    static var dotsEach: Int { 4 }
    /// Four sums, in sixteen lanes each.
    static var lanesEach: Int { 64 }

    /// The step of which a pair is formed, and the memory that the pair is written to.
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
    /// The pairs of the history, oldest first.
    let table: UnsafePointer<PairAddress>
    let pairCount: Int
    /// [block][pair][dot]; the new pair is the last one.
    let sums: UnsafeMutablePointer<Double>
    /// `scratchLength` numbers for each worker.
    let scratch: UnsafeMutablePointer<Double>

    static func scratchLength(count: Int) -> Int {
        unsafe 2 * lineAligned(min(count, blocksMax * blockLength)) + group * lanesEach
    }

    @inline(__always)
    func run(worker: Int, blocks: Range<Int>) {
        // In float32 where both g and v are: half as much to read, and exact products.
        if Scalar.self == Float.self, unsafe newPair?.dtype != .float64 {
            unsafe run(Float.self, worker: worker, blocks: blocks)
        } else {
            unsafe run(Double.self, worker: worker, blocks: blocks)
        }
    }

    @inline(__always)
    private func run<Strip: StoredNumber>(_: Strip.Type, worker: Int, blocks: Range<Int>) {
        // Sound: all memory is as long as the layout above says; strips end at `count`.
        let start = blocks.lowerBound * blockLength
        let length = unsafe min(blocks.upperBound * blockLength, count) - start
        let stripLength = unsafe lineAligned(min(count, Self.blocksMax * blockLength))
        let scratch = unsafe scratch + worker * Self.scratchLength(count: count)
        let lanes = unsafe scratch + 2 * stripLength
        let g = unsafe gradientStrip(Strip.self, start, length, scratch: scratch)
        var v = unsafe g
        if let newPair = unsafe newPair {
            unsafe v = unsafe begin(Strip.self, newPair, blocks, g, scratch + stripLength, lanes)
        }
        var last = unsafe pairCount
        while last > 0 {
            let first = unsafe max(0, last - Self.group)
            let partLength = unsafe Self.partSize / table[first].dtype.size
            for block in blocks {
                var at = block * blockLength - start
                let end = min(at + blockLength, length)
                unsafe lanes.update(repeating: 0, count: Self.group * Self.lanesEach)
                while at < end {
                    let part = min(partLength, end &- at)
                    let shift = MemoryLayout<Strip>.stride &* at
                    for index in first..<last {
                        unsafe accumulate(
                            index, start &+ at, Strip.self, g + shift, v + shift, part,
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

    /// Forms a stretch of the new pair and computes its four sums, block by block while it is in
    /// the caches. Returns the strip of v, which is in `scratch` unless the pair's own numbers
    /// serve.
    @inline(__always)
    private func begin<Strip: StoredNumber>(
        _: Strip.Type, _ new: NewPair, _ blocks: Range<Int>, _ g: UnsafeRawPointer,
        _ scratch: UnsafeMutablePointer<Double>, _ lanes: UnsafeMutablePointer<Double>
    ) -> UnsafeRawPointer {
        switch unsafe new.dtype {
        case .float64: unsafe begin(Double.self, Strip.self, new, blocks, g, scratch, lanes)
        case .float32: unsafe begin(Float.self, Strip.self, new, blocks, g, scratch, lanes)
        case .bfloat16: unsafe begin(BFloat16.self, Strip.self, new, blocks, g, scratch, lanes)
        }
    }

    @inline(__always)
    private func begin<Stored: StoredNumber, Strip: StoredNumber>(
        _: Stored.Type, _: Strip.Type, _ new: NewPair, _ blocks: Range<Int>,
        _ g: UnsafeRawPointer, _ scratch: UnsafeMutablePointer<Double>,
        _ lanes: UnsafeMutablePointer<Double>
    ) -> UnsafeRawPointer {
        // Sound: as above.
        let stripSize = MemoryLayout<Strip>.stride
        let isStrip = Stored.self == Strip.self
        let start = blocks.lowerBound * blockLength
        let scratch = UnsafeMutableRawPointer(scratch)
        let shift = start * MemoryLayout<Stored>.stride
        let strip = unsafe isStrip ? UnsafeRawPointer(new.y + shift) : UnsafeRawPointer(scratch)
        for block in blocks {
            let first = block * blockLength
            let length = unsafe min(blockLength, count - first)
            let shift = first * MemoryLayout<Stored>.stride
            let (s, y) = unsafe (new.s + shift, new.y + shift)
            unsafe form(Stored.self, new, first, length)
            let at = (first - start) * stripSize
            if !isStrip {
                unsafe copy(Stored.self, UnsafeRawPointer(y), length, to: Strip.self, scratch + at)
            }
            unsafe lanes.update(repeating: 0, count: Self.lanesEach)
            unsafe accumulate(
                Stored.self, UnsafeRawPointer(s), UnsafeRawPointer(y), Strip.self, g + at,
                strip + at, length, lanes)
            unsafe fold(lanes, block, pairCount)
        }
        return unsafe strip
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

    /// The strip of g. A Float64 strip is a copy that begins at a cache line. A float32 strip is
    /// the array itself, which begins where no register of its numbers crosses a line.
    @inline(__always)
    private func gradientStrip<Strip: StoredNumber>(
        _: Strip.Type, _ start: Int, _ length: Int, scratch: UnsafeMutablePointer<Double>
    ) -> UnsafeRawPointer {
        // Sound: `length` numbers can be read, and written to the strip.
        let values = unsafe gradient + start
        if Strip.self == Float.self { return unsafe UnsafeRawPointer(values) }
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
        return UnsafeRawPointer(scratch)
    }

    /// Copies stored numbers to a strip.
    @inline(__always)
    private func copy<Stored: StoredNumber, Strip: StoredNumber>(
        _: Stored.Type, _ values: UnsafeRawPointer, _ length: Int, to _: Strip.Type,
        _ strip: UnsafeMutableRawPointer
    ) {
        // Sound: as above.
        var offset = 0
        while offset &+ tileWidth <= length {
            unsafe Strip.store(Stored.tile(values, offset), strip, offset)
            offset &+= tileWidth
        }
        while offset < length {
            unsafe strip.storeBytes(
                of: Strip.stored(Stored.one(values, offset)),
                toByteOffset: MemoryLayout<Strip>.stride &* offset, as: Strip.self)
            offset &+= 1
        }
    }

    /// Writes a stretch of the new pair.
    @inline(__always)
    func form<Stored: StoredNumber>(
        _: Stored.Type, _ new: NewPair, _ start: Int, _ length: Int
    ) {
        let size = MemoryLayout<Stored>.stride
        // Sound: `length` numbers from `start` on can be read, and written to the pair.
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
    }

    @inline(__always)
    func accumulate<Strip: StoredNumber>(
        _ index: Int, _ at: Int, _: Strip.Type, _ g: UnsafeRawPointer, _ v: UnsafeRawPointer,
        _ length: Int, _ lanes: UnsafeMutablePointer<Double>
    ) {
        // Sound: `index` is below the number of pairs, and `length` numbers from `at` on can be
        // read.
        let pair = unsafe table[index]
        let offset = at * pair.dtype.size
        let (s, y) = unsafe (pair.stepPointer + offset, pair.changePointer + offset)
        switch pair.dtype {
        case .float64: unsafe accumulate(Double.self, s, y, Strip.self, g, v, length, lanes)
        case .float32: unsafe accumulate(Float.self, s, y, Strip.self, g, v, length, lanes)
        case .bfloat16: unsafe accumulate(BFloat16.self, s, y, Strip.self, g, v, length, lanes)
        }
    }

    /// Adds to the lanes of s.g, y.g, s.v and y.v, sixteen numbers at a time. Of the last numbers
    /// of a vector the first eight, if there are eight, go to the first half of the lanes, and the
    /// rest to the second half.
    @inline(__always)
    private func accumulate<Stored: StoredNumber, Strip: StoredNumber>(
        _: Stored.Type, _ s: UnsafeRawPointer, _ y: UnsafeRawPointer, _: Strip.Type,
        _ g: UnsafeRawPointer, _ v: UnsafeRawPointer, _ length: Int,
        _ lanes: UnsafeMutablePointer<Double>
    ) {
        let whole = length & ~15
        // Sound: `length` numbers can be read, and 64 lanes written.
        unsafe accumulateWhole(Stored.self, s, y, Strip.self, g, v, whole, lanes)
        if whole < length {
            let target = unsafe length - whole >= 8 ? lanes : lanes + 8
            for offset in whole..<length {
                let lane = offset - whole
                let (s, y) = unsafe (Stored.one(s, offset), Stored.one(y, offset))
                let (g, v) = unsafe (Strip.one(g, offset), Strip.one(v, offset))
                unsafe target[lane] += s * g
                unsafe target[lane + 16] += y * g
                unsafe target[lane + 32] += s * v
                unsafe target[lane + 48] += y * v
            }
        }
    }

    /// Adds to the sixteen lanes of the four dot products; `length` is a multiple of sixteen.
    @inline(__always)
    private func accumulateWhole<Stored: StoredNumber, Strip: StoredNumber>(
        _: Stored.Type, _ s: UnsafeRawPointer, _ y: UnsafeRawPointer, _: Strip.Type,
        _ g: UnsafeRawPointer, _ v: UnsafeRawPointer, _ length: Int,
        _ lanes: UnsafeMutablePointer<Double>
    ) {
        // Sound: as above.
        let sums = UnsafeMutableRawPointer(lanes)
        func load(_ lane: Int) -> Tile { unsafe Double.tile(UnsafeRawPointer(sums), lane) }
        func store(_ value: Tile, _ lane: Int) {
            unsafe sums.storeBytes(of: value, toByteOffset: 8 &* lane, as: Tile.self)
        }
        func add(_ sum: inout Tile, _ one: Tile, _ other: Tile) {
            #if LBFGS_WIDE_REGISTERS
                // A product of two significands of 24 bits is exact in 53, and no product of
                // float32 numbers leaves Float64's range: fused or not, the bits are the same.
                if Strip.self == Float.self, Stored.self != Double.self {
                    sum = sum.addingProduct(one, other)
                    return
                }
            #endif
            sum += one * other
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
                let (g0, v0) = unsafe (Strip.tile(g, offset), Strip.tile(v, offset))
                add(&sg0, s0, g0)
                add(&yg0, y0, g0)
                add(&sv0, s0, v0)
                add(&yv0, y0, v0)
                let (s1, y1) = unsafe (
                    Stored.tile(s, offset &+ next), Stored.tile(y, offset &+ next)
                )
                let (g1, v1) = unsafe (
                    Strip.tile(g, offset &+ next), Strip.tile(v, offset &+ next)
                )
                add(&sg1, s1, g1)
                add(&yg1, y1, g1)
                add(&sv1, s1, v1)
                add(&yv1, y1, v1)
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
