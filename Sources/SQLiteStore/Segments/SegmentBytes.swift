import Dispatch
import SessionModel
import Synchronization

/// Bytes in a segment, checked while they are read.
struct SegmentBytes: StoredOctets {
    let directory: String
    let segment: Int64
    let offset: Int
    let count: Int
    let checksums: [UInt8]

    func read(into room: UnsafeMutableRawBufferPointer) throws(StoreError) {
        do {
            try unsafe readOrFail(into: room)
        } catch {
            switch StoreFailure(error, directory: directory) {
            case .error(let error): throw error
            case .fatal(let reason): throw .failed(reason)
            }
        }
    }

    /// Throws unless the segment is there, and long enough: before memory is taken for it.
    func checkLength() throws { _ = try open(isDirect: false) }

    func all() throws -> [UInt8] {
        try checkLength()
        var failure: (any Error)?
        // Sound: either all bytes are written or none count.
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { room, initialized in
            do {
                try unsafe readOrFail(into: UnsafeMutableRawBufferPointer(room))
                initialized = count
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    private func open(isDirect: Bool) throws -> DiskFile {
        let path = SegmentLog.path(of: segment, in: directory)
        do {
            let file =
                isDirect
                ? try DiskFile(directly: path, for: .reading) : try DiskFile(path, for: .reading)
            guard offset + count <= (try file.size()) else {
                throw StoreError.corrupt("\(count) bytes at \(offset) end beyond \(path)")
            }
            return file
        } catch let failure as DiskFailure where failure.isAbsent {
            throw SegmentBytesGone(what: "\(path) is missing")
        }
    }

    // MARK: By chunks

    /// So many that two threads are worth it: one waits for the disk while the other sums.
    private static let sharedChunksMin = 4

    private func readOrFail(into room: UnsafeMutableRawBufferPointer) throws {
        let chunks = (count + PreparedBytes.chunkBytes - 1) / PreparedBytes.chunkBytes
        let isShared = chunks >= Self.sharedChunksMin
        // Long bytes are read once, and begin where a segment does.
        let isDirect = isShared && offset.isMultiple(of: DiskFile.blockBytes)
        let file = try open(isDirect: isDirect)
        guard checksums.count == 4 * chunks else { throw mismatch(in: file) }
        guard isShared else {
            for chunk in 0..<chunks { try unsafe read(chunk, from: file, into: room, nil) }
            return
        }
        let next = Atomic(0)
        let failure = Mutex<(any Error)?>(nil)
        // Sound: all readers end before this call does, and each chunk is one reader's.
        nonisolated(unsafe) let room = unsafe room
        DispatchQueue.concurrentPerform(iterations: 2) { _ in
            let blocks = file.isDirect ? BlockRoom.taken() : nil
            defer { blocks?.giveBack() }
            do {
                while failure.withLock({ $0 == nil }) {
                    let chunk = next.wrappingAdd(1, ordering: .relaxed).oldValue
                    guard chunk < chunks else { return }
                    try unsafe read(chunk, from: file, into: room, blocks)
                }
            } catch {
                failure.withLock { $0 = error }
            }
        }
        if let error = failure.withLock({ $0 }) { throw error }
    }

    /// - Parameter blocks: Where a direct read ends, to be summed and copied from.
    private func read(
        _ chunk: Int, from file: DiskFile, into room: UnsafeMutableRawBufferPointer,
        _ blocks: BlockRoom?
    ) throws {
        let start = chunk * PreparedBytes.chunkBytes
        let end = min(start + PreparedBytes.chunkBytes, count)
        // Sound: `room` has `count` bytes.
        let place = unsafe UnsafeMutableRawBufferPointer(rebasing: room[start..<end])
        var sums = ChunkChecksums()
        if let blocks {
            try unsafe blocks.withBlocks(holding: place.count) { blocks in
                try unsafe file.read(place.count, into: blocks, at: offset + start)
                // Sound: so many have been read.
                let read = unsafe UnsafeRawBufferPointer(rebasing: blocks[..<place.count])
                unsafe sums.add(read)
                unsafe place.copyMemory(from: read)
            }
        } else {
            try unsafe file.read(place.count, into: place, at: offset + start)
            unsafe sums.add(UnsafeRawBufferPointer(place))
        }
        guard sums.finished().elementsEqual(checksums[4 * chunk..<4 * chunk + 4]) else {
            throw mismatch(in: file)
        }
    }

    private func mismatch(in file: DiskFile) -> SegmentBytesGone {
        // Or they were collected under the reader's eyes.
        SegmentBytesGone(what: "\(file.path) doesn't match its checksum at \(offset)")
    }
}

/// A blob whose bytes in a segment aren't there. Either it was collected after this read began,
/// and its segment removed or its blocks given back (then the next attempt won't find its row), or
/// they are lost.
struct SegmentBytesGone: Error {
    let what: String
}
