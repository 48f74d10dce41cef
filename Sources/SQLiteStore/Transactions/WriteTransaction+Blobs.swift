import DiskLog
import GRDB
import SessionModel

extension WriteTransaction {
    /// Stores bytes and returns their blob's identifier, which is never used again.
    /// - Parameter given: The identifier, where it is not for this store to give.
    @discardableResult
    mutating func insert(_ prepared: PreparedBytes, as given: Int64? = nil) throws -> Int64 {
        var inline: [UInt8]?
        var place: Extent?
        if let staged = prepared.staged {
            segments.adopt(staged)
            place = Extent(segment: staged.segment, range: 0..<staged.count)
        } else if prepared.count <= inlineBytesMax {
            inline = try prepared.octets.bytes()
        } else {
            place = try unsafe segments.append { write in
                try unsafe prepared.octets.forEachRegion { try unsafe write($0) }
            }
        }
        let blob = BlobRow(
            id: try given ?? newBlobID(), length: prepared.count, checksums: prepared.checksums,
            place: place)
        try database.run(.insertBlob, binding: blob.row.bound + [inline.columnValue])
        return blob.id
    }

    private mutating func newBlobID() throws -> Int64 {
        let id: Int64
        if let newest = newestBlob {
            id = newest + 1
        } else {
            guard let next = try database.integer(.newBlobID, []) else {
                throw StoreError.corrupt("the table blob has no next identifier")
            }
            id = next
        }
        newestBlob = id
        return id
    }

    mutating func deleteBlob(_ id: Int64) throws {
        try release(try database.rows(.deleteBlob, [id]))
    }

    /// Deletes the payloads of a session's entries after `first`, up to and including `last`.
    mutating func deletePayloads(
        _ session: Int64, after first: SequenceNumber, through last: SequenceNumber
    ) throws {
        guard first < last else { return }
        for row in try database.rows(.payloadsBetween, [session, first, last]) {
            // What a damaged row names may be another session's.
            guard let payload = (try? EventRow(row))?.payload else { continue }
            try deleteBlob(payload)
        }
    }

    private mutating func release(_ deleted: [ResultRow]) throws {
        // The bytes that a damaged row named stay.
        for row in deleted {
            if let place = try? BlobRow(row).place { segments.release(place) }
        }
    }

    /// Copies a blob's bytes to the end of the newest segment and releases those before.
    mutating func relocate(_ blob: Int64, _ bytes: [UInt8]) throws {
        guard let result = try database.rows(.blob, [blob]).first else {
            throw StoreError.corrupt("blob \(blob) is missing")
        }
        var row = try BlobRow(result.dropFirst())
        guard let former = row.place, former.range.count == bytes.count else {
            throw StoreError.corrupt("blob \(blob) has no place in a segment")
        }
        row.place = try unsafe segments.append { write in
            try unsafe bytes.withUnsafeBytes { try unsafe write($0) }
        }
        try database.run(.relocateBlob, binding: row.row.bound)
        segments.release(former)
    }
}
