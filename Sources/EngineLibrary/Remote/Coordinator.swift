internal import CLbfgsd
internal import LBFGS

/// What an `lbfgsd_coordinator *` points to. One thread at a time uses it.
final class Coordinator {
    private var optimizer: RemoteOptimizer
    private var lastResult: StepResult?
    private var countsBefore = StepCounts()

    init(_ optimizer: RemoteOptimizer) { self.optimizer = optimizer }

    var pairCount: Int { optimizer.pairCount }
    var isStepping: Bool { optimizer.isStepping }

    /// A reference that C keeps, until `destroy(_:)` takes it back.
    func retained() -> OpaquePointer {
        unsafe OpaquePointer(Unmanaged.passRetained(self).toOpaque())
    }

    static func destroy(_ pointer: OpaquePointer) {
        // Sound: the caller destroys each coordinator once.
        unsafe Unmanaged<Coordinator>.fromOpaque(UnsafeRawPointer(pointer)).release()
    }

    static func optional(_ pointer: OpaquePointer?) -> Coordinator? {
        guard let pointer = unsafe pointer else { return nil }
        // Sound: the caller passes coordinators that it has not destroyed.
        return unsafe Unmanaged<Coordinator>.fromOpaque(UnsafeRawPointer(pointer))
            .takeUnretainedValue()
    }

    static func of(_ pointer: OpaquePointer?) throws(LibraryError) -> Coordinator {
        guard let coordinator = unsafe optional(pointer) else { throw .null("coordinator") }
        return coordinator
    }
}

// MARK: - Events

extension Coordinator {
    func begin(_ options: Options?) throws(LibraryError) -> lbfgsd_status {
        guard !optimizer.isStepping else { throw .stepRuns }
        countsBefore = StepCounts(
            iterations: optimizer.iterationCount, evaluations: optimizer.evaluationCount)
        return follow(optimizer.beginStep(options: options))
    }

    func advance(
        loss: Double, report: UnsafeBufferPointer<Double>?
    ) throws(LibraryError) -> lbfgsd_status {
        guard optimizer.isStepping else { throw .noStepRuns }
        guard let report = unsafe report else {
            guard !loss.isFinite else { throw .null("report") }
            return follow(optimizer.advanceInfeasible(loss: loss))
        }
        let gradient = try unsafe RemoteGradient(report, pairCount: optimizer.pairCount)
        return follow(optimizer.advance(loss: loss, gradient: gradient))
    }

    func stop() throws(LibraryError) -> lbfgsd_status {
        guard optimizer.isStepping else { throw .noStepRuns }
        return follow(.finished(optimizer.stop()))
    }

    private func follow(_ directive: Directive) -> lbfgsd_status {
        switch directive {
        case .evaluate:
            return LBFGSD_EVALUATE
        case .finished(let result):
            lastResult = result
            return LBFGSD_FINISHED
        }
    }

    func result() throws(LibraryError) -> lbfgsd_result {
        let running = StepResult(
            reason: .stopped, lossBefore: nil, loss: optimizer.loss, gradientNormInf: nil,
            iterations: optimizer.iterationCount &- countsBefore.iterations,
            evaluations: optimizer.evaluationCount &- countsBefore.evaluations)
        guard let result = optimizer.isStepping ? running : lastResult else {
            throw LibraryError(LBFGSD_ERROR_ORDER, "there was no step yet")
        }
        return lbfgsd_result(
            result, isStepping: optimizer.isStepping, iterationCount: optimizer.iterationCount,
            evaluationCount: optimizer.evaluationCount, bestLoss: optimizer.best?.loss)
    }

    /// The newest command as numbers; see lbfgsd.h.
    func command() throws(LibraryError) -> [Double] {
        let command = optimizer.command
        guard command.number > 0 else {
            throw LibraryError(LBFGSD_ERROR_ORDER, "there was no step yet")
        }
        let coefficients = command.coefficients
        let retained = command.retain + [.nan, .nan, .nan]
        func flag(_ value: Bool) -> Double { value ? 1 : 0 }
        return [
            Double(command.number), command.save ?? .nan, command.accept ?? .nan,
            flag(command.restore), flag(command.clear), flag(command.push), flag(command.drop),
            flag(coefficients != nil), coefficients?.gradient ?? .nan, command.move ?? .nan,
            command.stepLength ?? .nan, retained[0], retained[1], retained[2],
        ] + (coefficients?.steps ?? none) + (coefficients?.changes ?? none)
    }

    private var none: [Double] { [Double](repeating: .nan, count: optimizer.pairCount) }
}

extension RemoteGradient {
    /// Reads a report; see lbfgsd.h.
    init(
        _ report: UnsafeBufferPointer<Double>, pairCount count: Int
    ) throws(LibraryError) {
        let fixed = Int(LBFGSD_REPORT_FIXED)
        guard report.count == fixed + 4 * count else {
            throw LibraryError(
                LBFGSD_ERROR_COUNT,
                "a report on \(count) pairs has \(fixed + 4 * count) numbers, not \(report.count)")
        }
        self.init(pairCount: count)
        // Sound: as many numbers are there.
        func part(_ index: Int) -> [Double] {
            unsafe Array(report[(fixed + index * count)..<(fixed + (index + 1) * count)])
        }
        unsafe gradientDirection = report[0]
        unsafe startDirection = report[1]
        unsafe changeDirection = report[2]
        unsafe directionSquared = report[3]
        unsafe changeSquared = report[4]
        unsafe changeDotGradient = report[5]
        unsafe gradientSquared = report[6]
        unsafe gradientNormInf = report[7]
        unsafe gradientNorm1 = report[8]
        unsafe directionNormInf = report[9]
        stepGradient = part(0)
        changeGradient = part(1)
        stepChange = part(2)
        changeChange = part(3)
    }
}

// MARK: - Snapshots

extension Coordinator {
    private static let magic: [UInt8] = [0x8B] + Array("LBFGSC\n".utf8)
    private static let version: UInt32 = 1
    private static let headerSize = 24

    private struct Stored: Codable {
        var engine: RemoteSnapshot
        var result: StepResult?
        var countsBefore: StepCounts
    }

    func snapshot() -> [UInt8] {
        let stored = Stored(
            engine: optimizer.snapshot, result: lastResult, countsBefore: countsBefore)
        let scalars = CBOREncoder.encode(stored).encoded
        let size = Coordinator.headerSize + (scalars.count + 7) & ~7 + SnapshotHeader.trailerSize
        // Sound: the writer fills all bytes.
        return unsafe [UInt8](unsafeUninitializedCapacity: size) { memory, count in
            var writer = unsafe SnapshotWriter(UnsafeMutableRawBufferPointer(memory))
            writer.bytes(Coordinator.magic)
            writer.integer(Coordinator.version)
            writer.integer(UInt32(0))
            writer.integer(UInt64(scalars.count))
            writer.bytes(scalars)
            writer.pad()
            writer.finish()
            count = size
        }
    }

    convenience init(_ bytes: UnsafeRawBufferPointer) throws(SnapshotFormatError) {
        let size = Coordinator.headerSize
        guard bytes.count >= size + SnapshotHeader.trailerSize,
            unsafe bytes.prefix(Coordinator.magic.count).elementsEqual(Coordinator.magic)
        else { throw .unknownFormat }
        var reader = unsafe SnapshotReader(bytes, at: Coordinator.magic.count)
        let version = try reader.integer(UInt32.self)
        guard version == Coordinator.version else { throw .version(version) }
        _ = try reader.integer(UInt32.self)
        let count = try reader.integer(UInt64.self)
        let covered = bytes.count - SnapshotHeader.trailerSize
        guard count <= UInt64(covered - size), covered - size == (Int(count) + 7) & ~7 else {
            throw .layout("has another length than its header says")
        }
        var trailer = unsafe SnapshotReader(bytes, at: covered)
        let stored = try trailer.integer(UInt64.self)
        // Sound: the bytes before the trailer.
        let computed = unsafe CRC32C().checksum(UnsafeRawBufferPointer(rebasing: bytes[..<covered]))
        guard stored == UInt64(computed) else {
            throw .checksum(stored: stored, computed: computed)
        }
        let value = try unsafe CBOR(Array(bytes[size..<size + Int(count)]))
        let state: Stored
        do {
            state = try CBORDecoder.decode(Stored.self, from: value)
        } catch {
            throw .scalars("are none of this engine: \(error)")
        }
        do throws(SnapshotError) {
            self.init(try RemoteOptimizer(state.engine))
        } catch {
            throw .state(error)
        }
        lastResult = state.result
        countsBefore = state.countsBefore
    }
}
