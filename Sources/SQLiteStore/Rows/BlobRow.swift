import DiskLog
import SessionModel

/// The columns of `blob` without `bytes`, which `crcs` covers.
enum BlobColumn: Int, TableColumn {
    case id, length, crcs, segment, offset

    static let table = Table("blob", Self.self)
}

/// A row of `blob`: how long a byte string is, and where it lies.
struct BlobRow {
    var id: Int64
    var length: Int
    var checksums: [UInt8]
    /// nil for bytes that are in the row.
    var place: Extent?

    init(id: Int64, length: Int, checksums: [UInt8], place: Extent?) {
        self.id = id
        self.length = length
        self.checksums = checksums
        self.place = place
    }

    init(_ result: ResultRow) throws(StoreError) {
        let row = try ChecksummedRow<BlobColumn>(result)
        id = try row.int64(.id)
        length = try row.int(.length)
        checksums = try row.optionalBytes(.crcs) ?? []
        guard length >= 0 else { throw .corrupt("blob \(id) has no length") }
        guard let segment = try row.optionalInt64(.segment) else { return }
        let start = try row.int(.offset)
        let (end, overflow) = start.addingReportingOverflow(length)
        guard start >= 0, !overflow else {
            throw .corrupt("blob \(id) has no place in its segment")
        }
        place = Extent(segment: segment, range: start..<end)
    }

    var row: ChecksummedRow<BlobColumn> {
        var row = ChecksummedRow<BlobColumn>()
        row.set(.id, id)
        row.set(.length, length)
        row.set(.crcs, checksums)
        row.set(.segment, place?.segment)
        row.set(.offset, place?.range.lowerBound)
        return row
    }
}

enum VectorColumn: Int, TableColumn {
    case id, names

    static let table = Table("vector", Self.self)
}

/// A row of `vector`: how many snapshots name a blob.
struct VectorRow {
    var id: Int64
    var names: Int

    init(id: Int64, names: Int) {
        self.id = id
        self.names = names
    }

    init(_ result: ResultRow) throws(StoreError) {
        let row = try ChecksummedRow<VectorColumn>(result)
        id = try row.int64(.id)
        names = try row.int(.names)
    }

    var row: ChecksummedRow<VectorColumn> {
        var row = ChecksummedRow<VectorColumn>()
        row.set(.id, id)
        row.set(.names, names)
        return row
    }
}
