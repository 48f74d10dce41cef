import DiskLog
import GRDB
import SessionModel

extension ReadTransaction {
    /// The bytes of a blob, verified. Throws `.corrupt` when they aren't what was written.
    func bytes(of id: Int64) throws -> [UInt8] { try octets(of: id, longMin: .max).bytes() }

    /// The same; blobs in segments that are longer than `longMin` are read, and verified, when
    /// their bytes are needed.
    func octets(of id: Int64, longMin: Int = Octets.longMin) throws -> Octets {
        guard let row = try database.rows(.blob, [id]).first else {
            throw StoreError.corrupt("blob \(id) is missing")
        }
        let length = try row.int(0)
        let checksums = row[1].bytes ?? []
        if let segment = row[3].integer {
            guard let offset = row[4].integer.map({ Int($0) }), length >= 0, offset >= 0 else {
                throw StoreError.corrupt("blob \(id) has no place in its segment")
            }
            let slice = SegmentSlice(
                directory: segments, segment: segment, offset: offset, count: length,
                checksums: checksums)
            if length > longMin {
                try slice.checkLength()
                return .stored(SegmentOctets(slice: slice))
            }
            return Octets(try slice.readAll())
        }
        let bytes = row[2].bytes ?? []
        guard bytes.count == length, PreparedBytes(bytes).checksums == checksums else {
            throw StoreError.corrupt("blob \(id) doesn't match its checksum")
        }
        return Octets(bytes)
    }
}
