import DiskLog
import GRDB
import SessionModel

extension WriteTransaction {
    /// Stores bytes and returns their blob's identifier, which is never used again.
    mutating func insert(_ prepared: PreparedBytes) throws -> Int64 {
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
        try database.run(
            .insertBlob,
            [prepared.count, prepared.checksums, inline, place?.segment, place?.range.lowerBound])
        return database.lastInsertedRowID
    }

    mutating func deleteBlob(_ id: Int64) throws {
        try release(try database.rows(.deleteBlob, [id]))
    }

    /// Deletes the payloads of a session's entries after `first`, up to and including `last`.
    mutating func deletePayloads(
        _ session: Int64, after first: SequenceNumber, through last: SequenceNumber
    ) throws {
        guard first < last else { return }
        try release(try database.rows(.deletePayloads, [session, first, last]))
    }

    private mutating func release(_ deleted: [ResultRow]) throws {
        for row in deleted {
            guard let segment = row[0].integer, let offset = row[1].integer else { continue }
            let start = Int(offset)
            segments.release(
                Extent(segment: segment, range: start..<start + (try row.int(2))))
        }
    }

    /// Copies a blob's bytes to the end of the newest segment and releases those before.
    mutating func relocate(_ blob: Int64, _ bytes: [UInt8]) throws {
        guard let row = try database.rows(.blob, [blob]).first, let segment = row[3].integer,
            let offset = row[4].integer.map({ Int($0) })
        else { throw StoreError.corrupt("blob \(blob) has no place in a segment") }
        let place = try unsafe segments.append { write in
            try unsafe bytes.withUnsafeBytes { try unsafe write($0) }
        }
        try database.run(.relocateBlob, [place.segment, place.range.lowerBound, blob])
        segments.release(Extent(segment: segment, range: offset..<offset + bytes.count))
    }
}
