import Foundation

/// The directory of what recovery found in segments and no row of the index names.
///
/// A crash leaves such bytes regularly: of a transaction or a vector that was not committed, or of
/// a segment that was being removed. But an index that has lost commits makes the same of bytes
/// that were acknowledged. So they are set aside for some days, within a limit, and not deleted.
package struct LostSegments: Sendable {
    package let path: String
    private let bytesMax: Int

    package static let secondsMax = 7.0 * 86_400
    package static let bytesMax = 1 << 30

    package init(_ path: String, bytesMax: Int = Self.bytesMax) {
        self.path = path
        self.bytesMax = bytesMax
    }

    /// Moves a segment's file here. One without bytes is removed.
    func take(_ file: String) throws {
        guard DiskFile.allocatedBytes(of: file) > 0 else { return try DiskFile.remove(file) }
        try DiskFile.makeDirectory(path)
        try DiskFile.rename(file, to: freePath(for: (file as NSString).lastPathComponent))
        try DiskFile.syncDirectory(path)
    }

    /// Copies the bytes of a file from `offset` on to a file here.
    func copyEnd(of file: DiskFile, from offset: Int, to size: Int) throws {
        guard offset < size else { return }
        try DiskFile.makeDirectory(path)
        let name = (file.path as NSString).lastPathComponent + "@\(offset)"
        let copy = try DiskFile(freePath(for: name), for: .creating)
        var position = offset
        while position < size {
            let count = min(size - position, 1 << 20)
            let piece = try unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
                // Sound: either all of it is filled, or this throws.
                try unsafe file.read(
                    count, into: UnsafeMutableRawBufferPointer(buffer), at: position)
                filled = count
            }
            try copy.write(piece, at: position - offset)
            position += count
        }
        try copy.sync()
        try DiskFile.syncDirectory(path)
    }

    private func freePath(for name: String) -> String {
        let second = Int(Date().timeIntervalSince1970)
        var number = 0
        while true {
            let candidate = "\(path)/\(name).\(second).\(number)"
            if !FileManager.default.fileExists(atPath: candidate) { return candidate }
            number += 1
        }
    }

    /// Removes what is older than some days, and the oldest beyond the limit, which is a quarter of
    /// the free space at most.
    func prune(now: Date = Date()) {
        let files = FileManager.default
        let names = (try? files.contentsOfDirectory(atPath: path)) ?? []
        guard !names.isEmpty else { return }
        let found = names.map { name in
            let file = path + "/" + name
            let made = try? files.attributesOfItem(atPath: file)[.modificationDate] as? Date
            return (file: file, made: made ?? .distantPast)
        }.sorted { $0.made > $1.made }
        let available = DiskFile.availableBytes(at: path) ?? .max
        var left = min(bytesMax, available / 4)
        for (file, made) in found {
            left -= DiskFile.allocatedBytes(of: file)
            let isOld = now.timeIntervalSince(made) > Self.secondsMax
            if isOld || left < 0 { try? DiskFile.remove(file) }
        }
        try? DiskFile.syncDirectory(path)
    }
}
