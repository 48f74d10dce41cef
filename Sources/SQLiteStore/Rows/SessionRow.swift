import Foundation
import GRDB
import SessionModel

/// A row of `session`: the record, and what else is kept once a session.
struct SessionRow {
    /// The rowid: names the session in every other table, and orders listings.
    var id: Int64
    var record: SessionRecord
    var nextCheckpoint: CheckpointNumber

    static func sealed(
        _ record: SessionRecord, nextCheckpoint: CheckpointNumber
    ) throws -> SealedRow {
        var row = SealedRow()
        row.add(record.id.rawValue)
        row.add(nextCheckpoint)
        row.add(record.name)
        row.add(try json(record.labels))
        row.add(record.dtype.rawValue)
        row.add(record.origin?.session)
        row.add(record.origin?.checkpoint)
        row.add(record.createdAt)
        row.add(record.metadataVersion)
        row.add(try json(record.parameters))
        row.add(record.memoryBytes)
        return row
    }

    init(_ row: Row) throws {
        guard case .int64(let id)? = row.databaseValues.first?.storage else {
            throw StoreError.corrupt("a session without a rowid")
        }
        self.id = id
        var columns = try SealedRowReader(row, of: "session", leading: 1)
        let publicID = try columns.require(SessionID(try columns.text()))
        nextCheckpoint = try columns.int()
        let name = try columns.optionalText()
        let labels = try columns.text()
        let dtype = try columns.require(DType(rawValue: try columns.text()))
        let originSession = try columns.optionalText()
        let originCheckpoint = try columns.optionalInt()
        let createdAt = try columns.date()
        let metadataVersion = try columns.int()
        let parameters = try columns.text()
        let memoryBytes = try columns.int()
        let origin: Origin? =
            if let originSession, let originCheckpoint {
                Origin(session: originSession, checkpoint: originCheckpoint)
            } else { nil }
        record = SessionRecord(
            id: publicID, name: name, labels: try SessionRow.value(fromJSON: labels), dtype: dtype,
            parameters: try SessionRow.value(fromJSON: parameters), origin: origin,
            createdAt: createdAt, metadataVersion: metadataVersion, memoryBytes: memoryBytes)
    }

    private static func json(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    private static func value<Value: Decodable>(fromJSON text: String) throws -> Value {
        do {
            return try JSONDecoder().decode(Value.self, from: Data(text.utf8))
        } catch {
            throw StoreError.corrupt("a session's record can't be read: \(error)")
        }
    }
}
