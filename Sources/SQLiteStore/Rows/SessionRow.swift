import Foundation
import SessionModel

enum SessionColumn: Int, TableColumn {
    case id, publicId, nextCheckpoint, name, labels, dtype, originSession, originCheckpoint
    case createdAt, metadataVersion, parameters, memoryBytes, tenant, expiresAfter

    static let table = Table("session", Self.self)
}

/// A row of `session`: the record, and what else is stored once a session.
struct SessionRow {
    /// The rowid: names the session in every other table, and orders listings.
    var id: Int64
    var record: SessionRecord
    var nextCheckpoint: CheckpointNumber

    init(id: Int64, record: SessionRecord, nextCheckpoint: CheckpointNumber) {
        self.id = id
        self.record = record
        self.nextCheckpoint = nextCheckpoint
    }

    /// The row as its columns store it.
    func columns() throws -> ChecksummedRow<SessionColumn> {
        var row = ChecksummedRow<SessionColumn>()
        row.set(.id, id)
        row.set(.publicId, record.id.rawValue)
        row.set(.nextCheckpoint, nextCheckpoint)
        row.set(.name, record.name)
        row.set(.labels, try SessionRow.json(record.labels))
        row.set(.dtype, record.dtype.rawValue)
        row.set(.originSession, record.origin?.session)
        row.set(.originCheckpoint, record.origin?.checkpoint)
        row.set(.createdAt, record.createdAt)
        row.set(.metadataVersion, record.metadataVersion)
        row.set(.parameters, try SessionRow.json(record.parameters))
        row.set(.memoryBytes, record.memoryBytes)
        row.set(.tenant, record.tenant)
        row.set(.expiresAfter, record.expiresAfter)
        return row
    }

    init(_ result: ResultRow) throws {
        let row = try ChecksummedRow<SessionColumn>(result)
        id = try row.int64(.id)
        nextCheckpoint = try row.int(.nextCheckpoint)
        let origin: Origin? =
            if let session = try row.optionalText(.originSession),
                let checkpoint = try row.optionalInt(.originCheckpoint)
            {
                Origin(session: session, checkpoint: checkpoint)
            } else { nil }
        record = SessionRecord(
            id: try row.require(.publicId, SessionID(try row.text(.publicId))),
            name: try row.optionalText(.name),
            labels: try SessionRow.value(fromJSON: row.text(.labels)),
            dtype: try row.require(.dtype, DType(rawValue: try row.text(.dtype))),
            parameters: try SessionRow.value(fromJSON: row.text(.parameters)), origin: origin,
            createdAt: try row.date(.createdAt), metadataVersion: try row.int(.metadataVersion),
            memoryBytes: try row.int(.memoryBytes), tenant: try row.text(.tenant),
            expiresAfter: try row.optionalInt(.expiresAfter))
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
