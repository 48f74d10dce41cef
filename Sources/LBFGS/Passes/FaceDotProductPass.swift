/// The dot products of every s and y with one pair, split by whether a parameter is free or on the
/// face, and with the gradient of the free parameters: three couples of vectors,
///
///     g_F and y        the same numbers as `DotProductPass` computes
///     s_F and y_F      a column of the Gram matrix of the free parameters
///     s_A and y_A      a column of that of the others
///
/// The stretches of the six vectors are made first, and stay in the cache while the pairs are read
/// once. A stretch is shorter than that of `DotProductPass`, because there are three times as many.
/// A block without a free parameter, or with no other, has one couple less.
@unsafe struct FaceDotProductPass<Scalar: EngineScalar> {
    typealias Inner = DotProductPass<Scalar>

    static var blocksMax: Int { 4 }
    static var couplesMax: Int { 3 }
    static var group: Int { 2 }
    /// The bit of `FaceStatus.fixed` that the others don't have, in each of eight octets.
    private static var fixedBits: UInt64 { 0x0202_0202_0202_0202 }

    /// Accumulates the sums; its table holds all pairs, the column's among them.
    let inner: Inner
    /// Forms the column's pair first, if it is new.
    let newPair: Inner.NewPair?
    /// The gradient and which parameters are free to move along it; nil if its products are not
    /// wanted.
    let gradient: UnsafePointer<Scalar>?
    let status: UnsafePointer<UInt8>
    /// The face of the Gram matrices, with the count of its parameters in each block; nil if they
    /// are not wanted.
    let face: UnsafePointer<UInt8>?
    let faceCounts: UnsafePointer<Int>?
    /// The index in the table of the column's pair.
    let column: Int
    let tableCount: Int
    /// [block][couple][pair][dot]
    let sums: UnsafeMutablePointer<Double>
    let scratch: UnsafeMutablePointer<Double>

    static func scratchLength(count: Int) -> Int {
        unsafe 2 * couplesMax * lineAligned(min(count, blocksMax * blockLength))
            + group * couplesMax * Inner.lanesEach
    }

    @inline(__always)
    func run(worker: Int, blocks: Range<Int>) {
        let dtype = unsafe inner.table[column].dtype
        if Scalar.self == Float.self, dtype != .float64 {
            unsafe run(Float.self, worker: worker, blocks: blocks)
        } else {
            unsafe run(Double.self, worker: worker, blocks: blocks)
        }
    }

    @inline(__always)
    private func run<Strip: StoredNumber>(_: Strip.Type, worker: Int, blocks: Range<Int>) {
        // Sound: all memory is as long as the layout says; strips end at `count`.
        let count = unsafe inner.count
        let start = blocks.lowerBound * blockLength
        let length = min(blocks.upperBound * blockLength, count) - start
        let stripLength = unsafe lineAligned(min(count, Self.blocksMax * blockLength))
        let scratch = unsafe self.scratch + worker * Self.scratchLength(count: count)
        let strips = UnsafeMutableRawPointer(scratch)
        let stripSize = 8 * stripLength
        let lanes = unsafe scratch + 2 * Self.couplesMax * stripLength
        if unsafe newPair != nil { unsafe form(blocks) }
        unsafe makeStrips(Strip.self, start, length, strips, stripSize)
        let (couplesMax, lanesEach) = unsafe (Self.couplesMax, Inner.lanesEach)
        let pairSums = unsafe tableCount * Inner.dotsEach
        var last = unsafe tableCount
        while last > 0 {
            let first = unsafe max(0, last - Self.group)
            let partLength = unsafe Inner.partSize / inner.table[first].dtype.size
            for block in blocks {
                let from = block * blockLength - start
                let end = min(from + blockLength, length)
                let couples = unsafe couples(of: block, end - from)
                unsafe lanes.update(
                    repeating: 0, count: Self.group * Self.couplesMax * Inner.lanesEach)
                var at = from
                while at < end {
                    let part = min(partLength, end &- at)
                    let shift = MemoryLayout<Strip>.stride &* at
                    for index in first..<last {
                        for couple in 0..<couplesMax where couples & (1 &<< couple) != 0 {
                            let strip = unsafe strips + (2 &* couple &* stripSize &+ shift)
                            let lane =
                                ((index &- first) &* couplesMax &+ couple) &* lanesEach
                            unsafe inner.accumulate(
                                index, start &+ at, Strip.self, UnsafeRawPointer(strip),
                                UnsafeRawPointer(strip + stripSize), part, lanes + lane)
                        }
                    }
                    at &+= part
                }
                for index in first..<last {
                    for couple in 0..<couplesMax {
                        let lane = ((index - first) * couplesMax + couple) * lanesEach
                        let target = unsafe sums + (block * Self.couplesMax + couple) * pairSums
                        unsafe fold(lanes + lane, target + index * Inner.dotsEach)
                    }
                }
            }
            last = first
        }
    }

    /// The couples that a block has, as bits.
    @inline(__always)
    private func couples(of block: Int, _ length: Int) -> Int {
        // Sound: `faceCounts` has a number for each block.
        var couples = unsafe gradient == nil ? 0 : 1
        if unsafe face != nil, let faceCounts = unsafe faceCounts {
            let held = unsafe faceCounts[block]
            if held < length { couples |= 2 }
            if held > 0 { couples |= 4 }
        }
        return couples
    }

    @inline(__always)
    private func form(_ blocks: Range<Int>) {
        guard let new = unsafe newPair else { return }
        // Sound: as `DotProductPass`, whose function this is.
        for block in blocks {
            let first = block * blockLength
            let length = unsafe min(blockLength, inner.count - first)
            switch unsafe new.dtype {
            case .float64: unsafe form(Double.self, new, first, length)
            case .float32: unsafe form(Float.self, new, first, length)
            case .bfloat16: unsafe form(BFloat16.self, new, first, length)
            }
        }
    }

    /// Writes a stretch of the new pair. The change of the gradient of a fixed parameter is 0.
    @inline(__always)
    private func form<Stored: StoredNumber>(
        _: Stored.Type, _ new: Inner.NewPair, _ start: Int, _ length: Int
    ) {
        // Sound: `length` numbers from `start` on can be read, and written to the pair.
        unsafe inner.form(Stored.self, new, start, length)
        let y = unsafe new.y + start * MemoryLayout<Stored>.stride
        for first in stride(from: 0, to: length, by: 8) {
            let left = length &- first
            guard unsafe statusWord(status, start &+ first, left) & Self.fixedBits != 0 else {
                continue
            }
            for offset in first..<first + min(8, left)
            where unsafe status[start + offset] == FaceStatus.fixed {
                unsafe y.storeBytes(
                    of: Stored.stored(0), toByteOffset: offset * MemoryLayout<Stored>.stride,
                    as: Stored.self)
            }
        }
    }

    /// Makes the strips g_F, y, s_F, y_F, s_A and y_A of a stretch.
    @inline(__always)
    private func makeStrips<Strip: StoredNumber>(
        _: Strip.Type, _ start: Int, _ length: Int, _ strips: UnsafeMutableRawPointer,
        _ stripSize: Int
    ) {
        // Sound: `length` numbers from `start` on can be read; each strip is longer.
        let pair = unsafe inner.table[column]
        let shift = start * pair.dtype.size
        let (s, y) = unsafe (pair.stepPointer + shift, pair.changePointer + shift)
        switch pair.dtype {
        case .float64:
            unsafe makeStrips(Double.self, Strip.self, s, y, start, length, strips, stripSize)
        case .float32:
            unsafe makeStrips(Float.self, Strip.self, s, y, start, length, strips, stripSize)
        case .bfloat16:
            unsafe makeStrips(BFloat16.self, Strip.self, s, y, start, length, strips, stripSize)
        }
    }

    @inline(__always)
    private func makeStrips<Stored: StoredNumber, Strip: StoredNumber>(
        _: Stored.Type, _: Strip.Type, _ s: UnsafeRawPointer, _ y: UnsafeRawPointer, _ start: Int,
        _ length: Int, _ strips: UnsafeMutableRawPointer, _ stripSize: Int
    ) {
        // Sound: as above.
        let size = MemoryLayout<Strip>.stride
        var offset = 0
        while offset < length {
            let left = length &- offset
            func store(_ lanes: Lanes, _ strip: Int) {
                let target = unsafe strips + (strip &* stripSize &+ offset &* size)
                if left >= 8 {
                    unsafe Strip.narrowed(lanes, to: target)
                } else {
                    for index in 0..<left {
                        unsafe target.storeBytes(
                            of: Strip.stored(lanes[index]), toByteOffset: size * index,
                            as: Strip.self)
                    }
                }
            }
            let change = unsafe storedLanes(Stored.self, y, offset, left)
            if let gradient = unsafe gradient {
                let g = unsafe someLanes(gradient, start &+ offset, left)
                let isFree = unsafe faceLanes(status, start &+ offset, left)
                store(g.replacing(with: Lanes.zero, where: .!isFree), 0)
                store(change, 1)
            }
            if let face = unsafe face {
                let step = unsafe storedLanes(Stored.self, s, offset, left)
                let isFree = unsafe faceLanes(face, start &+ offset, left)
                store(step.replacing(with: Lanes.zero, where: .!isFree), 2)
                store(change.replacing(with: Lanes.zero, where: .!isFree), 3)
                store(step.replacing(with: Lanes.zero, where: isFree), 4)
                store(change.replacing(with: Lanes.zero, where: isFree), 5)
            }
            offset &+= 8
        }
    }

    @inline(__always)
    private func fold(
        _ lanes: UnsafeMutablePointer<Double>, _ target: UnsafeMutablePointer<Double>
    ) {
        // Sound: 64 lanes, four sums.
        for index in unsafe 0..<Inner.dotsEach {
            let even = unsafe UnsafeRawPointer(lanes + 16 * index).loadUnaligned(as: Lanes.self)
            let odd = unsafe UnsafeRawPointer(lanes + 16 * index + 8).loadUnaligned(as: Lanes.self)
            unsafe target[index] = folded(even + odd)
        }
    }
}

/// Eight stored numbers, or the last `left` of a vector with zeros behind them.
@inline(__always)
func storedLanes<Stored: StoredNumber>(
    _: Stored.Type, _ values: UnsafeRawPointer, _ offset: Int, _ left: Int
) -> Lanes {
    var lanes = Lanes.zero
    // Sound: `left` numbers can be read.
    if left >= 8 {
        unsafe withUnsafeMutableBytes(of: &lanes) { target in
            for index in stride(from: 0, to: 8, by: tileWidth) {
                unsafe target.storeBytes(
                    of: Stored.tile(values, offset &+ index), toByteOffset: 8 &* index,
                    as: Tile.self)
            }
        }
    } else {
        for index in 0..<left { unsafe lanes[index] = Stored.one(values, offset + index) }
    }
    return lanes
}
