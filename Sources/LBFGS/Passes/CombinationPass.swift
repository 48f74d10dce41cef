/// The second of an iteration's two passes over the history:
///
///     d = scale g + sum_i (a_i s_i + b_i y_i)
///
/// and, while a strip of d is in the first-level cache, g.d, ||d||_inf and the next trial point
/// x + t d.
///
/// Theory. 2 k n numbers of the pairs move, and four or five n of others. A strip of Float64
/// accumulators stays in the second-level cache while the same strip of each pair is added. Strips
/// are long, because memory is fastest for long sequential reads: with 1024 numbers the pass took
/// half as long again as with 32,768. Five pairs are added at a time, so that an accumulator is
/// loaded and stored once for ten products. Their ten factors just fit the machine's sixteen
/// registers, which is why `addFive`, `addTwo` and `addOne` are unrolled by hand. The sum for one
/// number runs over the pairs from the oldest to the newest, whatever the strips are.
///
/// Bits: those of the combination, `EngineScalar.dot` and `EngineScalar.moved` one after the other,
/// with d rounded in between.
@unsafe struct CombinationPass<Scalar: EngineScalar> {
    /// Blocks of a strip: long enough for memory to answer at full speed, short enough for the
    /// strip to stay in the second-level cache.
    static var blocksMax: Int { 8 }
    /// Sums of a block: g.d, ||d||_inf, and two that are 0 if d and the trial point are finite.
    static var sumsEach: Int { 4 }

    /// The inputs of the next trial point, and the memory that it is written to.
    @unsafe struct TrialPoint {
        var start: UnsafePointer<Scalar>
        var stepLength: Double
        var target: UnsafeMutablePointer<Scalar>
    }

    let count: Int
    let gradient: UnsafePointer<Scalar>
    let scale: Double
    let table: UnsafePointer<PairAddress>
    let pairCount: Int
    let stepWeights: UnsafePointer<Double>
    let changeWeights: UnsafePointer<Double>
    let direction: UnsafeMutablePointer<Scalar>
    let trialPoint: TrialPoint?
    /// [block][sum]
    let sums: UnsafeMutablePointer<Double>
    /// `scratchLength` numbers for each worker.
    let scratch: UnsafeMutablePointer<Double>

    static func scratchLength(count: Int) -> Int {
        unsafe lineAligned(min(count, blocksMax * blockLength))
    }

    @inline(__always)
    func run(worker: Int, blocks: Range<Int>) {
        // Sound: all memory is as long as the layout above says; strips end at `count`, and only
        // this body has these blocks and this worker.
        let strip = unsafe scratch + worker * Self.scratchLength(count: count)
        let start = blocks.lowerBound * blockLength
        let length = unsafe min(blocks.upperBound * blockLength, count) - start
        unsafe scaleGradient(strip, start, length)
        var index = 0
        while unsafe index < pairCount {
            unsafe index += add(pairsFrom: index, strip, start, length)
        }
        for block in blocks {
            var sums = BlockSums()
            let at = block * blockLength - start
            unsafe finish(strip + at, start + at, min(blockLength, length - at), &sums)
            let target = unsafe self.sums + block * Self.sumsEach
            unsafe target[0] = folded(sums.even + sums.odd)
            unsafe target[1] = sums.largest.max()
            unsafe target[2] = sums.directionCheck.sum()
            unsafe target[3] = sums.trialCheck.sum()
        }
    }

    /// The sums of a block, in lanes.
    private struct BlockSums {
        var even = Lanes.zero
        var odd = Lanes.zero
        var largest = Lanes.zero
        /// v - v is 0 for a finite number and NaN for any other.
        var directionCheck = Lanes.zero
        var trialCheck = Lanes.zero
    }

    /// Sets the strip to scale g.
    @inline(__always)
    private func scaleGradient(_ strip: UnsafeMutablePointer<Double>, _ start: Int, _ length: Int) {
        // Sound: `length` numbers can be read, and written to the strip.
        let values = unsafe gradient + start
        var offset = 0
        while offset &+ 8 <= length {
            unsafe UnsafeMutableRawPointer(strip + offset).storeBytes(
                of: lanes(values, offset) * scale, as: Lanes.self)
            offset &+= 8
        }
        while offset < length {
            unsafe strip[offset] = unsafe Double(values[offset]) * scale
            offset += 1
        }
    }

    /// Adds five pairs, or two, or one, all of one precision. Returns how many.
    @inline(__always)
    private func add(
        pairsFrom first: Int, _ strip: UnsafeMutablePointer<Double>, _ start: Int, _ length: Int
    ) -> Int {
        // Sound: `first` is below the number of pairs.
        let dtype = unsafe table[first].dtype
        var alike = 1
        while unsafe alike < 5 && first + alike < pairCount && table[first + alike].dtype == dtype {
            alike += 1
        }
        let added = alike == 5 ? 5 : min(alike, 2)
        switch dtype {
        case .float64: unsafe add(Double.self, added, first, strip, start, length)
        case .float32: unsafe add(Float.self, added, first, strip, start, length)
        case .bfloat16: unsafe add(BFloat16.self, added, first, strip, start, length)
        }
        return added
    }

    @inline(__always)
    private func add<Stored: StoredNumber>(
        _: Stored.Type, _ added: Int, _ first: Int, _ strip: UnsafeMutablePointer<Double>,
        _ start: Int, _ length: Int
    ) {
        switch added {
        case 5: unsafe addFive(Stored.self, first, strip, start, length)
        case 2: unsafe addTwo(Stored.self, first, strip, start, length)
        default: unsafe addOne(Stored.self, first, strip, start, length)
        }
    }

    @inline(__always)
    private func addOne<Stored: StoredNumber>(
        _: Stored.Type, _ index: Int, _ strip: UnsafeMutablePointer<Double>, _ start: Int,
        _ length: Int
    ) {
        // Sound: `length` numbers from `start` on can be read, and changed in the strip.
        let shift = start * MemoryLayout<Stored>.stride
        let (s, y) = unsafe (table[index].stepPointer + shift, table[index].changePointer + shift)
        let (a, b) = unsafe (stepWeights[index], changeWeights[index])
        var offset = 0
        while offset &+ tileWidth <= length {
            let target = unsafe UnsafeMutableRawPointer(strip + offset)
            var sum = unsafe target.loadUnaligned(as: Tile.self)
            unsafe sum += Stored.tile(y, offset) * b + Stored.tile(s, offset) * a
            unsafe target.storeBytes(of: sum, as: Tile.self)
            offset &+= tileWidth
        }
        while offset < length {
            unsafe strip[offset] += Stored.one(y, offset) * b + Stored.one(s, offset) * a
            offset &+= 1
        }
    }

    @inline(__always)
    private func addTwo<Stored: StoredNumber>(
        _: Stored.Type, _ first: Int, _ strip: UnsafeMutablePointer<Double>, _ start: Int,
        _ length: Int
    ) {
        // Sound: `length` numbers from `start` on can be read, and changed in the strip.
        let table = unsafe table + first
        let shift = start * MemoryLayout<Stored>.stride
        let (s0, y0) = unsafe (table[0].stepPointer + shift, table[0].changePointer + shift)
        let (s1, y1) = unsafe (table[1].stepPointer + shift, table[1].changePointer + shift)
        let (a, b) = unsafe (stepWeights + first, changeWeights + first)
        let (a0, a1) = unsafe (a[0], a[1])
        let (b0, b1) = unsafe (b[0], b[1])
        var offset = 0
        while offset &+ tileWidth <= length {
            let target = unsafe UnsafeMutableRawPointer(strip + offset)
            var sum = unsafe target.loadUnaligned(as: Tile.self)
            unsafe sum += Stored.tile(y0, offset) * b0 + Stored.tile(s0, offset) * a0
            unsafe sum += Stored.tile(y1, offset) * b1 + Stored.tile(s1, offset) * a1
            unsafe target.storeBytes(of: sum, as: Tile.self)
            offset &+= tileWidth
        }
        while offset < length {
            var sum = unsafe strip[offset]
            unsafe sum += Stored.one(y0, offset) * b0 + Stored.one(s0, offset) * a0
            unsafe sum += Stored.one(y1, offset) * b1 + Stored.one(s1, offset) * a1
            unsafe strip[offset] = sum
            offset &+= 1
        }
    }

    @inline(__always)
    private func addFive<Stored: StoredNumber>(
        _: Stored.Type, _ first: Int, _ strip: UnsafeMutablePointer<Double>, _ start: Int,
        _ length: Int
    ) {
        // Sound: `length` numbers from `start` on can be read, and changed in the strip.
        let table = unsafe table + first
        let shift = start * MemoryLayout<Stored>.stride
        let (s0, y0) = unsafe (table[0].stepPointer + shift, table[0].changePointer + shift)
        let (s1, y1) = unsafe (table[1].stepPointer + shift, table[1].changePointer + shift)
        let (s2, y2) = unsafe (table[2].stepPointer + shift, table[2].changePointer + shift)
        let (s3, y3) = unsafe (table[3].stepPointer + shift, table[3].changePointer + shift)
        let (s4, y4) = unsafe (table[4].stepPointer + shift, table[4].changePointer + shift)
        let (a, b) = unsafe (stepWeights + first, changeWeights + first)
        let (a0, a1, a2, a3, a4) = unsafe (a[0], a[1], a[2], a[3], a[4])
        let (b0, b1, b2, b3, b4) = unsafe (b[0], b[1], b[2], b[3], b[4])
        var offset = 0
        while offset &+ tileWidth <= length {
            let target = unsafe UnsafeMutableRawPointer(strip + offset)
            var sum = unsafe target.loadUnaligned(as: Tile.self)
            unsafe sum += Stored.tile(y0, offset) * b0 + Stored.tile(s0, offset) * a0
            unsafe sum += Stored.tile(y1, offset) * b1 + Stored.tile(s1, offset) * a1
            unsafe sum += Stored.tile(y2, offset) * b2 + Stored.tile(s2, offset) * a2
            unsafe sum += Stored.tile(y3, offset) * b3 + Stored.tile(s3, offset) * a3
            unsafe sum += Stored.tile(y4, offset) * b4 + Stored.tile(s4, offset) * a4
            unsafe target.storeBytes(of: sum, as: Tile.self)
            offset &+= tileWidth
        }
        while offset < length {
            var sum = unsafe strip[offset]
            unsafe sum += Stored.one(y0, offset) * b0 + Stored.one(s0, offset) * a0
            unsafe sum += Stored.one(y1, offset) * b1 + Stored.one(s1, offset) * a1
            unsafe sum += Stored.one(y2, offset) * b2 + Stored.one(s2, offset) * a2
            unsafe sum += Stored.one(y3, offset) * b3 + Stored.one(s3, offset) * a3
            unsafe sum += Stored.one(y4, offset) * b4 + Stored.one(s4, offset) * a4
            unsafe strip[offset] = sum
            offset &+= 1
        }
    }

    /// Rounds and writes a block of d, and computes its sums and the trial point.
    @inline(__always)
    private func finish(
        _ strip: UnsafeMutablePointer<Double>, _ start: Int, _ length: Int, _ sums: inout BlockSums
    ) {
        // Sound: `length` numbers from `start` on can be read, and written to d and to the trial
        // point.
        let (g, d) = unsafe (gradient + start, direction + start)
        var offset = 0
        while offset &+ 16 <= length {
            let first = unsafe eight(strip + offset, d + offset, start &+ offset, &sums)
            unsafe sums.even += lanes(g, offset) * first
            let second = unsafe eight(
                strip + (offset &+ 8), d + (offset &+ 8), start &+ offset + 8, &sums)
            unsafe sums.odd += lanes(g, offset &+ 8) * second
            offset &+= 16
        }
        if offset &+ 8 <= length {
            let first = unsafe eight(strip + offset, d + offset, start &+ offset, &sums)
            unsafe sums.even += lanes(g, offset) * first
            offset &+= 8
        }
        for lane in 0..<length - offset {
            let at = offset + lane
            let rounded = unsafe Scalar(strip[at])
            unsafe d[at] = rounded
            let value = Double(rounded)
            unsafe sums.odd[lane] += Double(g[at]) * value
            sums.largest[lane] = max(sums.largest[lane], abs(value))
            sums.directionCheck[lane] += value - value
            if let trial = unsafe trialPoint {
                let moved = unsafe Scalar(
                    Double(trial.start[start + at]) + value * trial.stepLength)
                unsafe trial.target[start + at] = moved
                sums.trialCheck[lane] += Double(moved - moved)
            }
        }
    }

    /// Rounds and writes eight numbers of d, and returns them.
    @inline(__always)
    private func eight(
        _ strip: UnsafeMutablePointer<Double>, _ target: UnsafeMutablePointer<Scalar>, _ at: Int,
        _ sums: inout BlockSums
    ) -> Lanes {
        // Sound: the caller has eight numbers left, in all of these.
        let narrow = unsafe Scalar.narrowed(UnsafeRawPointer(strip).loadUnaligned(as: Lanes.self))
        unsafe UnsafeMutableRawPointer(target).storeBytes(of: narrow, as: SIMD8<Scalar>.self)
        let wide = Scalar.widened(narrow)
        sums.largest = larger(sums.largest, absolute(wide))
        sums.directionCheck += wide - wide
        if let trial = unsafe trialPoint {
            let moved = unsafe Scalar.narrowed(lanes(trial.start, at) + wide * trial.stepLength)
            unsafe UnsafeMutableRawPointer(trial.target + at).storeBytes(
                of: moved, as: SIMD8<Scalar>.self)
            let wideMoved = Scalar.widened(moved)
            sums.trialCheck += wideMoved - wideMoved
        }
        return wide
    }
}
