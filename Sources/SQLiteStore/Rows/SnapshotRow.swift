import DiskLog
import SessionModel

enum SnapshotColumn: Int, TableColumn {
    case session, sequence, formatVersion, numericsVersion, scalars, vectors

    static let table = Table("snapshot", Self.self)
}

/// A row of `snapshot`: which blobs make up a session's state.
struct SnapshotRow {
    /// The rowid.
    var id: Int64
    var sequence: SequenceNumber
    var formatVersion: Int
    var numericsVersion: Int
    /// The scalars' blob.
    var scalars: Int64
    var vectors: VectorList

    init(_ result: ResultRow) throws {
        id = try result.int64(0)
        let row = try ChecksummedRow<SnapshotColumn>(result, rowIDs: 1)
        sequence = try row.int(.sequence)
        formatVersion = try row.int(.formatVersion)
        numericsVersion = try row.int(.numericsVersion)
        scalars = try row.int64(.scalars)
        vectors = try row.require(.vectors, VectorList(bytes: try row.bytes(.vectors)))
    }
}

extension SnapshotDraft {
    /// - Parameter scalars: The blob of the scalars.
    func row(
        session: Int64, scalars: Int64, vectors: VectorList
    ) -> ChecksummedRow<SnapshotColumn> {
        var row = ChecksummedRow<SnapshotColumn>()
        row.set(.session, session)
        row.set(.sequence, sequence)
        row.set(.formatVersion, formatVersion)
        row.set(.numericsVersion, numericsVersion)
        row.set(.scalars, scalars)
        row.set(.vectors, vectors.bytes)
        return row
    }
}

/// The vectors of a snapshot by name, in one value rather than a row each: a snapshot names m pairs
/// and a few other vectors, nearly all of them those of the one before, and rows would cost more
/// than the numbers.
///
/// On disk: the count (4 bytes), then for each vector its identifier (8), the length of its name
/// (2) and the name in UTF-8; little-endian.
struct VectorList: Equatable {
    var items: [(name: VectorName, id: VectorID)] = []

    static func == (left: VectorList, right: VectorList) -> Bool {
        left.items.elementsEqual(right.items, by: ==)
    }

    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(UInt32(items.count))
        for item in items {
            bytes.appendLittleEndian(item.id)
            bytes.appendLittleEndian(UInt16(item.name.utf8.count))
            bytes.append(contentsOf: item.name.utf8)
        }
        return bytes
    }

    init() {}

    /// nil unless `bytes` are exactly those of a list.
    init?(bytes: [UInt8]) {
        var reader = LittleEndianReader(bytes[...])
        guard let count = reader.integer(UInt32.self) else { return nil }
        for _ in 0..<count {
            guard let id = reader.integer(Int64.self), let length = reader.integer(UInt16.self),
                let text = reader.bytes(Int(length)),
                let name = String(validating: text, as: UTF8.self)
            else { return nil }
            items.append((name, id))
        }
        guard reader.isAtEnd else { return nil }
    }
}
