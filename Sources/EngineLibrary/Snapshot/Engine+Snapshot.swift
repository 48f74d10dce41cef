internal import LBFGS

/// What a snapshot holds besides vectors and pairs.
private struct StoredScalars<Scalar: EngineScalar>: Codable {
    var engine: OptimizerSnapshot<Scalar>.Scalars
    /// The result of the last step; nil before it, and of no use while a step runs.
    var result: StepResult?
    var countsBefore: StepCounts
    /// The iteration of the pending evaluation.
    var pendingIteration: Int
}

// MARK: - Writing

extension Engine {
    private var storedScalars: StoredScalars<Scalar> {
        StoredScalars(
            engine: optimizer.snapshot.scalars, result: lastResult, countsBefore: countsBefore,
            pendingIteration: pendingIteration)
    }

    func snapshotSize() -> Int {
        layout(scalarsSize: CBOREncoder.encode(storedScalars).encoded.count, optimizer.snapshot)
    }

    /// How many bytes a snapshot has.
    private func layout(scalarsSize: Int, _ snapshot: OptimizerSnapshot<Scalar>) -> Int {
        func padded(_ size: Int) -> Int { (size + 7) & ~7 }
        var size = SnapshotHeader.size + padded(scalarsSize) + SnapshotHeader.trailerSize
        for name in snapshot.vectors.keys {
            size += 8 + padded(name.utf8.count) + padded(count * MemoryLayout<Scalar>.size)
        }
        for pair in snapshot.pairs {
            size += 16 + 16 * pair.sy.count + padded(pair.littleEndianOctets.count)
        }
        return size
    }

    /// - Parameter memory: `snapshotSize()` bytes.
    func writeSnapshot(to memory: UnsafeMutableRawBufferPointer) {
        let snapshot = optimizer.snapshot
        let scalars = CBOREncoder.encode(storedScalars).encoded
        var writer = unsafe SnapshotWriter(memory)
        writer.bytes(SnapshotHeader.magic)
        writer.integer(SnapshotHeader.versionMax)
        writer.integer(UInt32(MemoryLayout<Scalar>.size))
        writer.integer(UInt64(count))
        writer.integer(UInt64(layout(scalarsSize: scalars.count, snapshot)))
        writer.integer(UInt32(snapshot.vectors.count))
        writer.integer(UInt32(snapshot.pairs.count))
        writer.integer(UInt64(scalars.count))
        writer.bytes(scalars)
        writer.pad()
        // In the order of names, so that a state has one encoding.
        for (name, vector) in snapshot.vectors.sorted(by: { $0.key < $1.key }) {
            writer.integer(UInt64(name.utf8.count))
            writer.bytes(name.utf8)
            writer.pad()
            writer.numbers(vector)
            writer.pad()
        }
        for pair in snapshot.pairs {
            writer.integer(UInt64(pair.number))
            writer.integer(UInt32(pair.dtype.size))
            writer.integer(UInt32(pair.sy.count))
            writer.numbers(pair.sy)
            writer.numbers(pair.yy)
            writer.bytes(pair.littleEndianOctets)
            writer.pad()
        }
        writer.finish()
    }
}

// MARK: - Reading

extension Engine {
    /// Reads a snapshot of this precision.
    /// - Throws: What is wrong with the bytes. All that is accepted can be driven by any events.
    convenience init(_ bytes: UnsafeRawBufferPointer) throws(SnapshotFormatError) {
        let header = try unsafe SnapshotHeader(bytes)
        var reader = unsafe SnapshotReader(bytes, at: SnapshotHeader.size)
        let encoded = try unsafe Array(reader.part(header.scalarsSize))
        let stored = try Engine.scalars(encoded)
        var vectors: [String: [Scalar]] = [:]
        for _ in 0..<header.vectorCount {
            let (name, vector) = try Engine.vector(from: &reader, count: header.count)
            guard vectors.updateValue(vector, forKey: name) == nil else {
                throw .layout("has the vector \(name) twice")
            }
        }
        var pairs: [CurvaturePair<Scalar>] = []
        for _ in 0..<header.pairCount {
            pairs.append(try Engine.pair(from: &reader, count: header.count))
        }
        guard reader.rest == 0 else { throw .layout("has bytes after its last part") }
        do throws(SnapshotError) {
            self.init(
                try Optimizer(
                    OptimizerSnapshot(scalars: stored.engine, vectors: vectors, pairs: pairs)))
        } catch {
            throw .state(error)
        }
        lastResult = stored.result
        countsBefore = stored.countsBefore
        pendingIteration = stored.pendingIteration
    }

    private static func scalars(
        _ encoded: [UInt8]
    ) throws(SnapshotFormatError) -> StoredScalars<Scalar> {
        let value = try CBOR(encoded)
        do {
            return try CBORDecoder.decode(StoredScalars<Scalar>.self, from: value)
        } catch {
            throw .scalars("are none of this engine: \(error)")
        }
    }

    private static func vector(
        from reader: inout SnapshotReader, count: Int
    ) throws(SnapshotFormatError) -> (String, [Scalar]) {
        let size = try reader.integer(UInt64.self)
        guard size <= UInt64(max(0, reader.rest)) else { throw .layout("ends too early") }
        let octets = try unsafe reader.part(Int(size))
        guard let name = unsafe String(validating: octets, as: UTF8.self) else {
            throw .layout("has a vector whose name is not UTF-8")
        }
        return (name, try reader.numbers(count, as: Scalar.self))
    }

    private static func pair(
        from reader: inout SnapshotReader, count: Int
    ) throws(SnapshotFormatError) -> CurvaturePair<Scalar> {
        let number = try reader.integer(UInt64.self)
        let size = try reader.integer(UInt32.self)
        let columns = Int(try reader.integer(UInt32.self))
        guard 1...UInt64(storedPairNumberMax) ~= number else {
            throw .layout("has a pair of number \(number)")
        }
        guard let dtype = HistoryDType.allCases.first(where: { UInt32($0.size) == size }) else {
            throw .layout("has pairs whose numbers have \(size) bytes")
        }
        guard columns >= 1 else { throw .layout("has a pair without products") }
        let sy = try reader.numbers(columns, as: Double.self)
        let yy = try reader.numbers(columns, as: Double.self)
        let (octetCount, overflow) = count.multipliedReportingOverflow(by: 2 * dtype.size)
        guard !overflow else { throw .layout("ends too early") }
        let octets = try unsafe Array(reader.part(octetCount))
        return CurvaturePair(
            number: Int(number), dtype: dtype, littleEndianOctets: octets[...], sy: sy, yy: yy)
    }
}
