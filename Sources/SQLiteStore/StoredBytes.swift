import Foundation
import GRDB
import Sessions

/// Bytes on their way to the disk, with a checksum for each chunk. Made where the caller runs:
/// computing checksums in the committer would hold up everyone behind it.
struct PreparedBytes: Sendable {
    /// Long enough for the checksums' size not to matter (4 bytes of 1 MiB), short enough for a
    /// wrong byte to be found in a part that could be read again.
    static let chunkBytes = 1 << 20

    let bytes: [UInt8]
    let checksums: [UInt8]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        checksums = PreparedBytes.checksums(of: bytes)
    }

    static func checksums(of bytes: [UInt8]) -> [UInt8] {
        var checksums: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: chunkBytes) {
            let end = min(start + chunkBytes, bytes.count)
            let checksum = CRC32C.checksum(bytes, from: start, to: end)
            for shift in stride(from: UInt32(0), to: 32, by: 8) {
                checksums.append(UInt8(truncatingIfNeeded: checksum >> shift))
            }
        }
        return checksums
    }
}

/// A blob whose bytes in a segment aren't there. Either it was collected after this read began,
/// and its segment removed or its blocks given back (then the next attempt won't find its row), or
/// they are lost.
struct SegmentBytesGone: Error {
    let what: String
}

extension WriteTransaction {
    /// Stores bytes; the identifier is never used again.
    mutating func insert(_ prepared: PreparedBytes) throws -> Int64 {
        let bytes = prepared.bytes
        let checksums = Data(prepared.checksums)
        if bytes.count <= inlineBytesMax {
            try database.run(
                .insertBlob, [bytes.count, checksums, Data(bytes), nil as Int64?, nil as Int?])
        } else {
            let (segment, offset) = try segments.append(bytes)
            try database.run(
                .insertBlob, [bytes.count, checksums, nil as Data?, segment, offset])
        }
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
    func bytes(of id: Int64) throws -> [UInt8] {
        guard let row = try database.rows(.blob, [id]).first else {
            throw StoreError.corrupt("blob \(id) is missing")
        }
        let length: Int = row[0]
        let checksums: Data = row[1] ?? Data()
        let bytes: [UInt8]
        if let segment: Int64 = row[3] {
            guard let offset: Int = row[4], length >= 0, offset >= 0 else {
                throw StoreError.corrupt("blob \(id) has no place in its segment")
            }
            bytes = try read(length, at: offset, of: segment, blob: id)
        } else {
            let inline: Data? = row[2]
            bytes = inline.map { Array($0) } ?? []
        }
        guard bytes.count == length, PreparedBytes.checksums(of: bytes) == Array(checksums) else {
            let what = "blob \(id) doesn't match its checksum"
            let isInline = (row[3] as Int64?) == nil
            throw isInline ? StoreError.corrupt(what) as any Error : SegmentBytesGone(what: what)
        }
        return bytes
    }

    private func read(
        _ length: Int, at offset: Int, of segment: Int64, blob: Int64
    ) throws -> [UInt8] {
        let path = SegmentLog.path(of: segment, in: segmentDirectory)
        do {
            let file = try DiskFile(path, for: .reading)
            // Before the length is believed and its memory taken.
            guard offset + length <= (try file.size()) else {
                throw StoreError.corrupt("blob \(blob) lies beyond the end of \(path)")
            }
            return try file.read(count: length, at: offset)
        } catch let failure as DiskFailure where failure.isAbsent {
            throw SegmentBytesGone(what: "\(path) is missing")
        }
    }
}
