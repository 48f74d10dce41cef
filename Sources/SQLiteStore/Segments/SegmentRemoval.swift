import Dispatch
import Glibc
import Synchronization

/// Removes segments that nothing names, long ones a piece at a time, for whom nobody waits.
///
/// A file system gives the blocks of a file back at once, and may tell the disk of each
/// (`discard`): 80 MB kept every sync that came meanwhile waiting for 20 to 40 ms. So a file is
/// shortened by pieces, and after each the disk is others' for several times as long as it took.
/// Whoever has such a file open finds it ending early, which means to a reader that it is gone. One
/// that is left over by the end of the process has no row, and the next start removes it.
package enum SegmentRemoval {
    /// Shorter files are removed as they are.
    private static let longBytesMin = 128 << 10
    private static let pieceBytes = 8 << 20
    private static let pausesEach = 4
    private static let queue = DispatchQueue(label: "lbfgsd.store.remove", qos: .utility)
    private static let waiters = Atomic(0)

    static func remove(_ path: String) {
        guard DiskFile.allocatedBytes(of: path) >= longBytesMin else {
            try? DiskFile.remove(path)
            return
        }
        queue.async {
            if let file = try? DiskFile(path, for: .writing), var size = try? file.size() {
                while size > pieceBytes {
                    size -= pieceBytes
                    guard (try? paced({ try file.truncate(to: size) })) != nil else { break }
                }
            }
            try? paced { try DiskFile.remove(path) }
        }
    }

    /// Returns when all that was asked for is done, from here on without pauses. A store that is
    /// opened again in this process may give another segment the same name.
    package static func finish() {
        waiters.add(1, ordering: .relaxed)
        queue.sync {}
        waiters.subtract(1, ordering: .relaxed)
    }

    /// The same, for those who must not block a thread.
    static func finished() async {
        waiters.add(1, ordering: .relaxed)
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume() }
        }
        waiters.subtract(1, ordering: .relaxed)
    }

    private static func paced(_ body: () throws -> Void) rethrows {
        let began = ContinuousClock.now
        try body()
        guard waiters.load(ordering: .relaxed) == 0 else { return }
        let pause = (ContinuousClock.now - began) * pausesEach
        usleep(useconds_t(clamping: Int64(pause / .microseconds(1))))
    }
}
