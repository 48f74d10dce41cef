import DiskLog

/// How far a standby is: which change of which feed it has applied last.
///
/// The file is written after the change's bytes are durable and is itself synced from time to time
/// only, so after a power loss it may be behind. The changes after it are then applied once more,
/// which does no harm: see `ReplicaFiles`.
struct StandbyPosition: Equatable, Sendable {
    var feed: String
    var number: Int
    /// When the change was made, in microseconds since 1970.
    var microseconds: Int64

    private static let feedBytesMax = 32
    private static let byteCount = feedBytesMax + 24

    init(feed: String, number: Int, microseconds: Int64) {
        self.feed = feed
        self.number = number
        self.microseconds = microseconds
    }

    /// nil if it was torn, or there is none.
    init?(in file: DiskFile) {
        guard let bytes = try? file.readAll(), bytes.count >= Self.byteCount else { return nil }
        let covered = Array(bytes[..<(Self.byteCount - 4)])
        var reader = LittleEndianReader(bytes[..<Self.byteCount])
        guard let feed = reader.bytes(Self.feedBytesMax),
            let number = reader.integer(Int64.self), let microseconds = reader.integer(Int64.self),
            reader.integer(UInt32.self) != nil,
            reader.integer(UInt32.self) == CRC32C.checksum(covered)
        else { return nil }
        self.feed = String(decoding: feed.prefix { $0 != 0 }, as: UTF8.self)
        self.number = Int(number)
        self.microseconds = microseconds
    }

    func write(to file: DiskFile) throws(FileError) {
        var bytes = Array(feed.utf8.prefix(Self.feedBytesMax))
        bytes += [UInt8](repeating: 0, count: Self.feedBytesMax - bytes.count)
        bytes.appendLittleEndian(Int64(number))
        bytes.appendLittleEndian(microseconds)
        bytes.appendLittleEndian(UInt32(0))
        bytes.appendLittleEndian(CRC32C.checksum(bytes))
        try file.write(bytes, at: 0)
    }
}
