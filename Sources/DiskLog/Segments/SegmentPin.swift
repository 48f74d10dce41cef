import Synchronization

/// A lock on a store's file `pin`, by which a backup keeps the segments as they are.
///
/// A backup, in a process of its own, holds it shared while it copies. The store takes it
/// exclusively, for moments, whenever it removes, truncates or punches a segment, and puts that off
/// while a backup has it. The kernel gives the lock up when a process ends.
package final class SegmentPin: Sendable {
    private let file: Mutex<DiskFile?>

    /// - Parameter path: The file. Without one nothing is ever pinned.
    package init(_ path: String) {
        file = Mutex(try? DiskFile(path, for: .reading))
    }

    /// Runs `body` unless a backup keeps the segments; then it returns false.
    package func unlessHeld(_ body: () throws -> Void) rethrows -> Bool {
        try file.withLock { file in
            guard let file else {
                try body()
                return true
            }
            guard (try? file.lock()) == true else { return false }
            defer { file.unlock() }
            try body()
            return true
        }
    }
}
