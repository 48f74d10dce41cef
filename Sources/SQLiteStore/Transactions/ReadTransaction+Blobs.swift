import DiskLog
import GRDB
import SessionModel

extension ReadTransaction {
    /// The bytes of a blob, verified. Throws `.corrupt` when they aren't what was written.
    func bytes(of id: Int64) throws -> [UInt8] { try octets(of: id, longMin: .max).bytes() }

    /// The same; blobs in segments that are longer than `longMin` are read, and verified, when
    /// their bytes are needed.
    func octets(of id: Int64, longMin: Int = Octets.longMin) throws -> Octets {
        guard let result = try database.rows(.blob, [id]).first else {
            throw StoreError.corrupt("blob \(id) is missing")
        }
        let row = try BlobRow(result.dropFirst())
        if let place = row.place {
            let slice = SegmentSlice(
                directory: segments, segment: place.segment, offset: place.range.lowerBound,
                count: row.length, checksums: row.checksums)
            if row.length > longMin {
                try slice.checkLength()
                return .stored(SegmentOctets(slice: slice))
            }
            return Octets(try slice.readAll())
        }
        let bytes = result[0].bytes ?? []
        guard bytes.count == row.length, PreparedBytes(bytes).checksums == row.checksums else {
            throw StoreError.corrupt("blob \(id) doesn't match its checksum")
        }
        return Octets(bytes)
    }
}
