import DiskLog
import Foundation
import SessionModel

// The space that the store uses, and the space that is left.

extension SQLiteStore {
    public func availableBytes() -> Int? { DiskFile.availableBytes(at: directory.path) }

    /// Bytes of the whole file system; nil if they can't be read.
    public func fileSystemBytes() -> Int? { DiskFile.fileSystemBytes(at: directory.path) }

    /// Bytes that the store's files occupy. Looks at each of them.
    public func usedBytes() -> Int {
        [directory.path, directory.journal, directory.segments].reduce(0) { sum, folder in
            let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            return names.reduce(sum) { $0 + DiskFile.allocatedBytes(of: folder + "/" + $1) }
        }
    }

    /// To be called from time to time while little space is left: removing things then needs none.
    public func prepareForFullDisk() { committer.copyBackEarly() }

    /// Takes the space again that was given up to remove things from a full disk. To be called from
    /// time to time while there is room.
    public func roomReturned() { committer.ballast.fill() }
}
