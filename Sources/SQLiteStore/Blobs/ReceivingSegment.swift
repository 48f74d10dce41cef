import DiskLog
import SessionModel
import Synchronization

/// A staged segment whose bytes are still arriving.
///
///     empty --append--> writing --finish--> durable --take--> taken
///
/// When it is deallocated before it was taken, its file is removed.
final class ReceivingSegment: OctetsStaging {
    private enum Phase {
        case empty
        case writing(SegmentWriter)
        case durable(SegmentSlice)
        case failed(StoreError)
        case taken
    }

    private let number: Int64
    private let stager: SegmentStager
    private let phase = Mutex(Phase.empty)

    init(_ number: Int64, on stager: SegmentStager) {
        self.number = number
        self.stager = stager
    }

    deinit {
        switch phase.withLock({ $0 }) {
        case .empty, .taken: break
        case .writing, .durable, .failed: stager.remove(number)
        }
    }

    func append(_ piece: UnsafeRawBufferPointer) {
        advance { phase in
            switch phase {
            case .empty:
                var writer = try stager.writer(number)
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
                var writer = try stager.writer(number)
                return .durable(try writer.finish())
            case .writing(var writer): return .durable(try writer.finish())
            case .durable, .failed, .taken: return phase
            }
        }
    }

    private func advance(_ step: (consuming Phase) throws -> Phase) {
        phase.withLock { phase in
            let former = phase
            // The only reference left is `former`, so that the writer is changed in place.
            phase = .empty
            do {
                phase = try step(former)
            } catch {
                phase = .failed(stager.survivable(error))
            }
        }
    }

    func take() -> Result<Octets, StoreError> {
        phase.withLock { phase in
            switch phase {
            case .durable(let slice):
                phase = .taken
                return .success(.stored(StagedOctets(slice: slice)))
            case .failed(let error): return .failure(error)
            case .empty, .writing, .taken: preconditionFailure("taken in \(phase)")
            }
        }
    }
}
