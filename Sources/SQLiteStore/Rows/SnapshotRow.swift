import GRDB
import SessionModel

/// A row of `snapshot`: which blobs make up a session's state.
struct SnapshotRow {
    var id: Int64
    var sequence: SequenceNumber
    var formatVersion: Int
    var numericsVersion: Int
    /// A blob.
    var scalars: Int64
    var vectors: VectorList

    static func sealed(
        _ draft: SnapshotDraft, session: Int64, scalars: Int64, vectors: VectorList
    ) -> SealedRow {
        var row = SealedRow()
        row.add(session)
        row.add(draft.sequence)
        row.add(draft.formatVersion)
        row.add(draft.numericsVersion)
        row.add(scalars)
        row.add(vectors.bytes)
        return row
    }

    init(_ row: Row) throws {
        guard case .int64(let id)? = row.databaseValues.first?.storage else {
            throw StoreError.corrupt("a snapshot without a rowid")
        }
        self.id = id
        var columns = try SealedRowReader(row, of: "snapshot", leading: 1)
        _ = try columns.int64()
        sequence = try columns.int()
        formatVersion = try columns.int()
        numericsVersion = try columns.int()
        scalars = try columns.int64()
        let bytes = try columns.require(try columns.optionalBytes())
        vectors = try columns.require(VectorList(bytes: bytes))
    }
}

/// The vectors of a snapshot by name, in one value rather than a row each: a snapshot names 2m + 4
/// vectors, nearly all of them those of the one before, and rows would cost more than the numbers.
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
        func append(_ value: some FixedWidthInteger) {
            for byte in 0..<(type(of: value).bitWidth / 8) {
                bytes.append(UInt8(truncatingIfNeeded: value >> (8 * byte)))
            }
        }
        append(UInt32(items.count))
        for item in items {
            append(item.id)
            append(UInt16(item.name.utf8.count))
            bytes.append(contentsOf: item.name.utf8)
        }
        return bytes
    }

    init() {}

    /// nil unless `bytes` are exactly those of a list.
    init?(bytes: [UInt8]) {
        var position = 0
        func read<Value: FixedWidthInteger>(_: Value.Type) -> Value? {
            let width = Value.bitWidth / 8
            guard position + width <= bytes.count else { return nil }
            defer { position += width }
            return bytes[position..<position + width].reversed().reduce(0) {
                $0 << 8 | Value(truncatingIfNeeded: $1)
            }
        }
        guard let count = read(UInt32.self) else { return nil }
        for _ in 0..<count {
            guard let id = read(Int64.self), let length = read(UInt16.self).map(Int.init),
                position + length <= bytes.count,
                let name = String(validating: bytes[position..<position + length], as: UTF8.self)
            else { return nil }
            position += length
            items.append((name, id))
        }
        guard position == bytes.count else { return nil }
    }
}
