import SessionModel

/// A journal entry as the entry log has it: its length, whose it is, what its row in `event` would
/// say, and its payload. The frame that it is in has the checksum.
struct LoggedEntry: Sendable {
    var session: SessionID
    var entry: JournalEntry

    /// 4 bytes each, little-endian, before the identifier and before the columns.
    private static let lengthBytes = 4

    /// Throws what reading a stored payload does.
    func record() throws(StoreError) -> [UInt8] {
        var row = SealedBytes(reserving: 256)
        EventRow.add(entry, session: 0, payload: nil, to: &row)
        let columns = row.bytes
        let id = session.rawValue.utf8
        let count = 3 * LoggedEntry.lengthBytes + id.count + columns.count + entry.payload.count
        var record: [UInt8] = []
        record.reserveCapacity(count)
        record.appendLittleEndian(UInt32(count - LoggedEntry.lengthBytes))
        record.appendLittleEndian(UInt32(id.count))
        record.append(contentsOf: id)
        record.appendLittleEndian(UInt32(columns.count))
        record.append(contentsOf: columns)
        record.append(contentsOf: try entry.payload.bytes())
        return record
    }

    /// All records of a frame.
    static func read(_ frame: ArraySlice<UInt8>) throws(StoreError) -> [LoggedEntry] {
        var entries: [LoggedEntry] = []
        var rest = frame
        while !rest.isEmpty {
            var record = try take(&rest)
            let id = try take(&record)
            guard let session = SessionID(String(decoding: id, as: UTF8.self)) else {
                throw .corrupt("an entry in the log belongs to no session")
            }
            var columns = try SealedRowReader(try take(&record), of: "the entry log")
            var entry = try EventRow(&columns).entry
            entry.payload = .bytes(ArraySlice(Array(record)))
            entries.append(LoggedEntry(session: session, entry: entry))
        }
        return entries
    }

    /// A length and as many bytes.
    private static func take(_ rest: inout ArraySlice<UInt8>) throws(StoreError)
        -> ArraySlice<UInt8>
    {
        guard rest.count >= lengthBytes else { throw .corrupt("an entry in the log is short") }
        let count = Int(UInt32(littleEndianBytes: rest.prefix(lengthBytes)))
        rest = rest.dropFirst(lengthBytes)
        guard rest.count >= count else { throw .corrupt("an entry in the log is short") }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }
}

extension FixedWidthInteger {
    init(littleEndianBytes bytes: ArraySlice<UInt8>) {
        self = bytes.reversed().reduce(0) { $0 << 8 | Self($1) }
    }
}

extension [UInt8] {
    mutating func appendLittleEndian(_ integer: some FixedWidthInteger) {
        // Sound: the integer's bytes, copied out.
        unsafe Swift.withUnsafeBytes(of: integer.littleEndian) { unsafe append(contentsOf: $0) }
    }
}
