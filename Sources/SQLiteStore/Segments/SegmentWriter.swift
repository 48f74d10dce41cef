import SessionModel
import Synchronization

/// A segment of its own while it is written.
///
/// It goes past the kernel's memory, from a room of our own: nobody reads it again soon, and what
/// the kernel keeps for later has to be found room, written back and taken away again, which took
/// twice the processor's time. So little is under way at once, too: whoever syncs meanwhile, for a
/// row of a small session say, waits for no more than one room, and the last sync for nothing.
struct SegmentWriter {
    private let number: Int64
    private let directory: String
    private let faults: FaultInjection
    private let file: DiskFile
    private let room: BlockRoom
    private var checksums = ChunkChecksums()
    /// Bytes in the room, and in the file before them.
    private var filled = 0
    private var written = 0

    /// What is written at a time: long enough for the disk to be busy, short enough for nobody to
    /// wait long behind it.
    private static let writeBytes = 512 << 10
    /// What is summed and then copied while it is in a core's cache.
    private static let pieceBytes = 256 << 10

    init(_ number: Int64, in directory: String, faults: FaultInjection) throws {
        self.number = number
        self.directory = directory
        self.faults = faults
        file = try DiskFile(
            directly: SegmentLog.path(of: number, in: directory), for: .creating)
        room = .taken()
        try faults.pass(.segmentWrite, file.path)
    }

    mutating func append(_ region: UnsafeRawBufferPointer) throws {
        var start = 0
        while start < region.count {
            let count = min(region.count - start, Self.pieceBytes, Self.writeBytes - filled)
            // Sound: within the region.
            let piece = unsafe UnsafeRawBufferPointer(rebasing: region[start..<start + count])
            unsafe checksums.add(piece)
            unsafe room.copy(piece, to: filled)
            filled += count
            start += count
            if filled == Self.writeBytes { try flush() }
        }
    }

    private mutating func flush() throws {
        try unsafe room.withBytes(filled) { try unsafe file.write($0, at: written) }
        if !file.isDirect {
            file.beginWriting(written..<written + filled)
            try file.awaitWriting(max(0, written - filled)..<written)
        }
        written += filled
        filled = 0
    }

    /// Once: returns when the bytes and the file's name are durable.
    mutating func finish() throws -> StagedSegment {
        let count = written + filled
        if filled > 0 {
            let whole = DiskFile.wholeBlocks(filled)
            room.clear(filled..<whole)
            try unsafe room.withBytes(whole) { try unsafe file.write($0, at: written) }
            try file.truncate(to: count)
        }
        room.giveBack()
        try faults.pass(.segmentSync, directory)
        let name = NameSync(in: directory)
        try file.sync()
        try name.wait()
        return StagedSegment(
            segment: number, count: count, checksums: checksums.finished(), directory: directory)
    }
}

/// A staged segment whose bytes are still arriving.
///
///     empty --append--> writing --finish--> durable --take--> taken
///
/// Let go of before it is taken it leaves nothing behind.
final class ArrivingSegment: OctetsStaging {
    private enum Phase {
        case empty
        case writing(SegmentWriter)
        case durable(StagedSegment)
        case failed(StoreError)
        case taken
    }

    private let number: Int64
    private let stage: SegmentStage
    private let phase = Mutex(Phase.empty)

    init(_ number: Int64, on stage: SegmentStage) {
        self.number = number
        self.stage = stage
    }

    deinit {
        switch phase.withLock({ $0 }) {
        case .empty, .taken: break
        case .writing, .durable, .failed: stage.remove([number])
        }
    }

    func append(_ piece: UnsafeRawBufferPointer) {
        advance { phase in
            switch phase {
            case .empty:
                var writer = try stage.writer(number)
                try unsafe writer.append(piece)
                return .writing(writer)
            case .writing(var writer):
                try unsafe writer.append(piece)
                return .writing(writer)
            case .durable, .failed, .taken: return phase
            }
        }
    }

    func finish() {
        advance { phase in
            switch phase {
            case .empty:
                var writer = try stage.writer(number)
                return .durable(try writer.finish())
            case .writing(var writer): return .durable(try writer.finish())
            case .durable, .failed, .taken: return phase
            }
        }
    }

    private func advance(_ step: (consuming Phase) throws -> Phase) {
        phase.withLock { phase in
            let former = phase
            // Let go of, so that what it holds is changed where it is.
            phase = .empty
            do {
                phase = try step(former)
            } catch {
                phase = .failed(stage.survivable(error))
            }
        }
    }

    func take() -> Result<Octets, StoreError> {
        phase.withLock { phase in
            switch phase {
            case .durable(let segment):
                phase = .taken
                return .success(.stored(segment))
            case .failed(let error): return .failure(error)
            case .empty, .writing, .taken: preconditionFailure("taken in \(phase)")
            }
        }
    }
}
