import DiskLog
import SessionModel

/// Follows SQLite's WAL: what each commit has appended.
///
/// It reads on the writer's queue after each commit, and only the committer writes to the WAL, so
/// the frames with the header's salts, up to the last that commits, are those of commits. A
/// transaction that was rolled back may have left frames behind them, none of which commits.
struct TablesTail {
    static let headerBytes = 32
    static let frameHeaderBytes = 24
    private static let framesPerRead = 16

    private let path: String
    private var file: DiskFile?
    private var header: [UInt8] = []
    private var offset = 0

    init(_ path: String) { self.path = path }

    /// Makes the next call of `read` return the whole WAL.
    mutating func rewind() { header = [] }

    /// The bytes of a page, by a WAL's header; nil if it is none.
    static func pageBytes(_ header: [UInt8]) -> Int? {
        guard header.count == headerBytes else { return nil }
        let bytes = header[8..<12].reduce(0) { $0 << 8 | Int($1) }
        return (512...65536).contains(bytes) ? bytes : nil
    }

    /// Returns nil if nothing was committed since the last call.
    mutating func read() throws -> ReplicatedChange.TablesAppend? {
        let file = try file ?? DiskFile(path, for: .reading)
        self.file = file
        let size = try file.size()
        guard size > Self.headerBytes else { return nil }
        let current = try StoreBackup.bytes(of: file, at: 0, count: Self.headerBytes)
        if current != header {
            header = current
            offset = Self.headerBytes
        }
        guard let pageBytes = Self.pageBytes(header) else {
            throw StoreError.corrupt("\(path) has no header that is known")
        }
        let frameBytes = Self.frameHeaderBytes + pageBytes
        var frames: [UInt8] = []
        var committed = 0
        reading: while true {
            let start = offset + frames.count
            let count = min(Self.framesPerRead, (size - start) / frameBytes)
            guard count > 0 else { break }
            let read = try StoreBackup.bytes(of: file, at: start, count: count * frameBytes)
            for frame in stride(from: 0, to: read.count, by: frameBytes) {
                guard read[frame + 8..<frame + 16] == header[16..<24] else {
                    frames += read[..<frame]
                    break reading
                }
                // The size of the database after a commit; 0 in other frames.
                if read[frame + 4..<frame + 8].contains(where: { $0 != 0 }) {
                    committed = frames.count + frame + frameBytes
                }
            }
            frames += read
        }
        guard committed > 0 else { return nil }
        frames.removeSubrange(committed...)
        defer { offset += committed }
        return ReplicatedChange.TablesAppend(header: header, offset: offset, frames: frames)
    }
}
