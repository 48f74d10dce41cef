import DiskLog
package import SessionModel

/// A journal entry as a record of the write-ahead log: its session, the columns of its row in
/// `event`, and its payload. The record's frame has the checksum.
///
/// On disk: the length of the session's identifier (4 bytes) and the identifier; the length of the
/// columns (4) and the columns in fixed-width encoding; the payload up to the record's end.
package struct LoggedEntry: Sendable {
    package var session: SessionID
    package var entry: JournalEntry

    package init(session: SessionID, entry: JournalEntry) {
        self.session = session
        self.entry = entry
    }

    /// Throws what reading a stored payload throws.
    package func record() throws(StoreError) -> [UInt8] {
        var columns = ColumnEncoder(.fixedWidth, reserving: 256)
        entry.encode(to: &columns)
        let id = session.rawValue.utf8
        var record: [UInt8] = []
        record.reserveCapacity(8 + id.count + columns.bytes.count + entry.payload.count)
        record.appendLittleEndian(UInt32(id.count))
        record.append(contentsOf: id)
        record.appendLittleEndian(UInt32(columns.bytes.count))
        record.append(contentsOf: columns.bytes)
        record.append(contentsOf: try entry.payload.bytes())
        return record
    }

    package init(record: ArraySlice<UInt8>) throws(StoreError) {
        var reader = LittleEndianReader(record)
        guard let idLength = reader.integer(UInt32.self), let id = reader.bytes(Int(idLength)),
            let columnsLength = reader.integer(UInt32.self),
            let columns = reader.bytes(Int(columnsLength))
        else { throw .corrupt("a record of the write-ahead log ends too early") }
        guard let session = SessionID(String(decoding: id, as: UTF8.self)) else {
            throw .corrupt("a record of the write-ahead log names no session")
        }
        self.session = session
        var decoder = ColumnDecoder(.fixedWidth, columns)
        entry = try EventRow(&decoder).entry
        // A copy, so that the log file's bytes can be released.
        entry.payload = Octets(Array(reader.rest))
    }
}
