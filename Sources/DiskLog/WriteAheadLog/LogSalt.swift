/// 16 random bytes that every frame of a log carries, in its header and under its checksum, so that
/// no bytes within a record can be taken for a frame: a client chooses what a record says, but it
/// never learns the salt (as the salts of SQLite's WAL, but for clients that are hostile).
///
/// The owner of the log keeps the salt in its tables, and draws a new one whenever the log begins
/// anew. So frames of a former life of the log are not frames any more.
package struct LogSalt: Equatable, Sendable {
    package static let byteCount = 16

    package let bytes: [UInt8]

    /// nil unless there are 16 bytes.
    package init?(_ bytes: some Collection<UInt8>) {
        guard bytes.count == Self.byteCount else { return nil }
        self.bytes = Array(bytes)
    }

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// From the system's cryptographic source.
    package static func random() -> LogSalt {
        var generator = SystemRandomNumberGenerator()
        return LogSalt((0..<byteCount).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }
}
