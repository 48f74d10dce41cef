import DiskLog
import Foundation
public import SessionModel

/// What a data directory is to others: the file `replication` in it. A directory without one is
/// that of a primary with term 1.
public struct ReplicationRole: Equatable, Sendable {
    public enum Kind: String, Sendable {
        case primary
        /// It was the primary, and another one was promoted.
        case fenced
        /// It follows a primary, and can be opened when it has been promoted.
        case standby
    }

    public var kind = Kind.primary
    /// Rises with each promotion. That of a fenced store is the promoted one's.
    public var term = 1
    /// A standby's primary. A primary's former one, as long as that has not been told.
    public var peer: String?
    /// A name that the standby has given itself.
    public var standby: String?

    public init() {}

    private static let title = "lbfgsd replication 1"

    private static func path(in directory: String) -> String { directory + "/replication" }

    /// Throws `.corrupt` if the file is there and can't be read: what it fences must not be served.
    public static func read(in directory: String) throws(StoreError) -> ReplicationRole {
        let path = path(in: directory)
        guard FileManager.default.fileExists(atPath: path) else { return ReplicationRole() }
        guard let bytes = try? DiskFile(path, for: .reading).readAll(),
            let role = ReplicationRole(bytes)
        else { throw .corrupt("\(path) is not what was written") }
        return role
    }

    private init?(_ bytes: [UInt8]) {
        var lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
        guard let last = lines.popLast(), lines.first.map(String.init) == Self.title else {
            return nil
        }
        let covered = lines.joined(separator: "\n") + "\n"
        guard last == "crc \(CRC32C.checksum(Array(covered.utf8)))" else { return nil }
        for line in lines.dropFirst() {
            let words = line.split(separator: " ", maxSplits: 1).map(String.init)
            guard words.count == 2 else { return nil }
            switch words[0] {
            case "role":
                guard let kind = Kind(rawValue: words[1]) else { return nil }
                self.kind = kind
            case "term":
                guard let term = Int(words[1]), term > 0 else { return nil }
                self.term = term
            case "peer": peer = words[1]
            case "standby": standby = words[1]
            default: return nil
            }
        }
    }

    /// Returns when it is durable.
    public func write(in directory: String) throws(StoreError) {
        var text = "\(Self.title)\nrole \(kind.rawValue)\nterm \(term)\n"
        if let peer { text += "peer \(peer)\n" }
        if let standby { text += "standby \(standby)\n" }
        text += "crc \(CRC32C.checksum(Array(text.utf8)))\n"
        let path = Self.path(in: directory)
        do {
            let file = try DiskFile(path + ".new", for: .creating)
            try file.write(Array(text.utf8), at: 0)
            try file.sync()
            try DiskFile.rename(path + ".new", to: path)
            try DiskFile.syncDirectory(directory)
        } catch {
            throw StoreFailure(error, directory: directory).ofReading
        }
    }
}
