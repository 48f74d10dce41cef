import Foundation
import GRDB
import SessionModel

/// Bytes on their way to the disk, with a checksum for each chunk. Made where the caller runs:
/// computing checksums in the committer would hold up everyone behind it.
struct PreparedBytes: Sendable {
    /// Long enough for the checksums' size not to matter (4 bytes of 1 MiB), short enough for a
    /// wrong byte to be found in a part that could be read again.
    static let chunkBytes = 1 << 20

    let octets: Octets
    let count: Int
    let checksums: [UInt8]
    /// Where they are on disk already, synced.
    let staged: StagedSegment?

    init(_ octets: Octets) {
        self.octets = octets
        count = octets.count
        if case .stored(let stored) = octets {
            guard let segment = stored as? StagedSegment else {
                preconditionFailure("what a store has is named, not written again")
            }
            staged = segment
            checksums = segment.checksums
            return
        }
        staged = nil
        var sums = ChunkChecksums()
        do {
            try unsafe octets.forEachRegion { unsafe sums.add($0) }
        } catch {
            preconditionFailure("memory can be read: \(error)")
        }
        checksums = sums.finished()
    }

    init(_ bytes: [UInt8]) { self.init(Octets(bytes)) }

    /// Bytes that the committer has to write.
    var bytesToWrite: Int { staged == nil ? count : 0 }
}

/// Checksums of the chunks of what comes in regions of any length.
struct ChunkChecksums {
    private var checksums: [UInt8] = []
    private var current: UInt32 = 0
    private var filled = 0

    mutating func add(_ region: UnsafeRawBufferPointer) {
        var rest = unsafe region[...]
        while unsafe !rest.isEmpty {
            let count = unsafe min(rest.count, PreparedBytes.chunkBytes - filled)
            // Sound: within the region.
            let piece = unsafe UnsafeRawBufferPointer(rebasing: rest.prefix(count))
            current = unsafe CRC32C.checksum(piece, after: current)
            unsafe rest = rest.dropFirst(count)
            filled += count
            if filled == PreparedBytes.chunkBytes { endChunk() }
        }
    }

    private mutating func endChunk() {
        for shift in stride(from: UInt32(0), to: 32, by: 8) {
            checksums.append(UInt8(truncatingIfNeeded: current >> shift))
        }
        current = 0
        filled = 0
    }

    /// Four little-endian bytes a chunk.
    consuming func finished() -> [UInt8] {
        if filled > 0 { endChunk() }
        return checksums
    }
}

extension WriteTransaction {
    /// Stores bytes; the identifier is never used again.
    mutating func insert(_ prepared: PreparedBytes) throws -> Int64 {
        let length = ColumnValue.integer(Int64(prepared.count))
        let checksums = ColumnValue.bytes(prepared.checksums)
        let place: [ColumnValue]
        if let staged = prepared.staged {
            segments.adopt(staged)
            place = [.null, .integer(staged.segment), .integer(0)]
        } else if prepared.count <= inlineBytesMax {
            place = [.bytes(try prepared.octets.bytes()), .null, .null]
        } else {
            let (segment, offset) = try segments.append(prepared.octets)
            place = [.null, .integer(segment), .integer(Int64(offset))]
        }
        try database.run(.insertBlob, binding: [length, checksums] + place)
        return database.lastInsertedRowID
    }

    mutating func deleteBlob(_ id: Int64) throws {
        release(try database.rows(.deleteBlob, [id]))
    }

    /// Deletes the payloads of a session's entries after `first`, up to and including `last`.
    mutating func deletePayloads(
        _ session: Int64, after first: SequenceNumber, through last: SequenceNumber
    ) throws {
        guard first < last else { return }
        release(try database.rows(.deletePayloads, [session, first, last]))
    }

    private mutating func release(_ deleted: [Row]) {
        for row in deleted {
            guard let segment: Int64 = row[0], let offset: Int = row[1] else { continue }
            let length: Int = row[2]
            segments.release(offset..<offset + length, in: segment)
        }
    }
}

extension ReadTransaction {
    /// The bytes of a blob, verified. Throws `.corrupt` when they aren't what was written.
    func bytes(of id: Int64) throws -> [UInt8] { try octets(of: id, longMin: .max).bytes() }

    /// The same; of those that are longer than `longMin`, where they are: they are read, and
    /// verified, when they are needed.
    func octets(of id: Int64, longMin: Int = Octets.longMin) throws -> Octets {
        guard let row = try database.rows(.blob, [id]).first else {
            throw StoreError.corrupt("blob \(id) is missing")
        }
        let length: Int = row[0]
        let checksums = Array((row[1] as Data?) ?? Data())
        if let segment: Int64 = row[3] {
            guard let offset: Int = row[4], length >= 0, offset >= 0 else {
                throw StoreError.corrupt("blob \(id) has no place in its segment")
            }
            let stored = SegmentBytes(
                directory: segmentDirectory, segment: segment, offset: offset, count: length,
                checksums: checksums)
            if length > longMin {
                try stored.checkLength()
                return .stored(stored)
            }
            return Octets(try stored.all())
        }
        let inline: Data? = row[2]
        let bytes = inline.map { Array($0) } ?? []
        guard bytes.count == length, PreparedBytes(bytes).checksums == checksums else {
            throw StoreError.corrupt("blob \(id) doesn't match its checksum")
        }
        return Octets(bytes)
    }
}
