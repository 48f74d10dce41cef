@testable import DiskLog
internal import Foundation
internal import SessionModel
@testable import SQLiteStore

/// A directory of this process, in memory where there is such a file system.
private let directory: String = {
    let memory = "/dev/shm"
    let parent = FileManager.default.isWritableFile(atPath: memory) ? memory : "/tmp"
    return "\(parent)/lbfgsd-fuzz-\(ProcessInfo.processInfo.processIdentifier)"
}()

/// The write-ahead log's files with any bytes in them: opening gives records or an error.
@Sendable func fuzzLog(_ input: [UInt8]) {
    var input = FuzzInput(input)
    let first = input.bytes(input.length())
    let second = input.remaining()
    do {
        try FileManager.default.createDirectory(
            atPath: directory, withIntermediateDirectories: true)
        try Data(first).write(to: URL(filePath: directory + "/1.log"))
        try Data(second).write(to: URL(filePath: directory + "/2.log"))
    } catch {
        preconditionFailure("\(directory) can't be written: \(error)")
    }
    // The salt that the first frame has, as if the tables had it.
    let magic = LogFrame.magic
    let salt =
        first.starts(with: magic)
        ? LogSalt(first.dropFirst(magic.count).prefix(LogSalt.byteCount)) : nil
    guard
        let opened = try? WriteAheadLog.open(
            directory, checkpointedEpoch: 0, salt: salt,
            limits: WriteAheadLogLimits(fileBytesMax: 1 << 20, fileRecordsMax: 1000),
            faults: FaultInjection(faults: nil))
    else { return }
    for record in opened.records { _ = try? LoggedEntry(record: record) }
}

/// Rows whose checksums match, as whoever can write the file can make them.
@Sendable func fuzzRows(_ input: [UInt8]) {
    _ = VectorList(bytes: input)
    _ = try? LoggedEntry(record: input[...])
    for format in [ColumnFormat.compact, .fixedWidth] {
        var decoder = ColumnDecoder(format, input[...])
        while !decoder.isAtEnd { if (try? EventRow(&decoder)) == nil { break } }
        var values = ColumnDecoder(format, input[...])
        guard !values.isAtEnd, let count = try? values.values(1).first?.integer,
            let columns = try? values.values(Int(truncatingIfNeeded: count & 31))
        else { continue }
        readRows(columns)
    }
}

private func readRows(_ columns: [ColumnValue]) {
    func row<Column: TableColumn>(_: Column.Type, rowIDs: Int) -> ResultRow {
        var values = columns
        while values.count < Column.table.columnCount + rowIDs { values.append(.integer(1)) }
        values = Array(values.prefix(Column.table.columnCount + rowIDs))
        var sealed = ChecksummedRow<Column>()
        for index in 0..<Column.table.columnCount {
            guard let column = Column(rawValue: index) else { continue }
            sealed.set(column, values[index + rowIDs])
        }
        return ResultRow(values: Array(values.prefix(rowIDs)) + sealed.bound)
    }
    _ = try? BlobRow(row(BlobColumn.self, rowIDs: 0))
    _ = try? CheckpointRecord(row(CheckpointColumn.self, rowIDs: 0))
    _ = try? DeliveryRow(row(DeliveryColumn.self, rowIDs: 1))
    _ = try? EnsembleRow(row(EnsembleColumn.self, rowIDs: 0))
    _ = try? EntryCountsRow(row(EntryCountsColumn.self, rowIDs: 0))
    _ = try? EventRow(row(EventColumn.self, rowIDs: 0))
    _ = try? IdempotencyRecord(row(IdempotencyColumn.self, rowIDs: 0))
    _ = try? HoleRow(row(HoleColumn.self, rowIDs: 0))
    _ = try? MemberRow(row(MemberColumn.self, rowIDs: 0))
    _ = try? SegmentRow(row(SegmentColumn.self, rowIDs: 0))
    _ = try? SessionRow(row(SessionColumn.self, rowIDs: 1))
    _ = try? SnapshotRow(row(SnapshotColumn.self, rowIDs: 1))
    _ = try? StepRecord(row(StepColumn.self, rowIDs: 0))
    _ = try? StoreRow(row(StoreColumn.self, rowIDs: 0))
    _ = try? TraceBatch(row(TraceBatchColumn.self, rowIDs: 1))
    _ = try? VectorRow(row(VectorColumn.self, rowIDs: 0))
}
