import Dispatch
import Glibc
import Synchronization

/// Removes segment files in the background, long ones in several steps.
///
/// A file system frees all blocks of a removed file at once, and may tell the disk about each
/// (`discard`): removing 80 MB delayed every sync in the meantime by 20 to 40 ms. So a long file is
/// truncated step by step, with a pause after each of several times its duration. A reader that has
/// the file open finds it ending early and takes it for removed. A file that is left over when the
/// process ends has no row in the index, and the next start removes it.
package final class SegmentRemover: Sendable {
    /// Shorter files are removed at once, by the caller.
    private static let longBytesMin = 128 << 10
    private static let stepBytes = 8 << 20
    /// The length of a pause, as a multiple of the step before it.
    private static let pauseFactor = 4
    private let queue = DispatchQueue(label: "lbfgsd.store.remove", qos: .utility)
    /// Callers that wait for the end; while there are any, there are no pauses.
    private let waiters = Atomic(0)

    private let pin: SegmentPin
    /// How often a removal that a backup puts off is tried again.
    private static let retryMicroseconds: useconds_t = 100_000

    package init(_ pin: SegmentPin) { self.pin = pin }

    package func remove(_ path: String) {
        guard DiskFile.allocatedBytes(of: path) >= Self.longBytesMin else {
            if pin.unlessHeld({ try? DiskFile.remove(path) }) { return }
            queue.async { [self] in
                _ = unpinned { try? DiskFile.remove(path) }
            }
            return
        }
        queue.async { [self] in
            if let file = try? DiskFile(path, for: .writing), var size = try? file.size() {
                while size > Self.stepBytes {
                    size -= Self.stepBytes
                    let isShorter = try? paced { try file.truncate(to: size) }
                    // While a backup holds the files and the store is being closed, the file stays,
                    // and the next start removes it.
                    if isShorter == false { return }
                    guard isShorter != nil else { break }
                }
            }
            _ = try? paced { try DiskFile.remove(path) }
        }
    }

    /// Blocks until all removals are done, from now on without pauses. A store that is opened again
    /// in this process may give another segment the same name.
    package func waitUntilIdle() {
        waiters.add(1, ordering: .relaxed)
        queue.sync {}
        waiters.subtract(1, ordering: .relaxed)
    }

    /// The same without blocking the thread.
    package func idle() async {
        waiters.add(1, ordering: .relaxed)
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume() }
        }
        waiters.subtract(1, ordering: .relaxed)
    }

    /// Runs `step` when no backup holds the files. Returns false, without it, if one does while
    /// somebody waits for the removals to end.
    private func unpinned(_ step: () throws -> Void) rethrows -> Bool {
        while true {
            if try pin.unlessHeld(step) { return true }
            if waiters.load(ordering: .relaxed) > 0 { return false }
            usleep(Self.retryMicroseconds)
        }
    }

    private func paced(_ step: () throws -> Void) rethrows -> Bool {
        var began = ContinuousClock.now
        let isDone = try unpinned {
            began = ContinuousClock.now
            try step()
        }
        guard isDone, waiters.load(ordering: .relaxed) == 0 else { return isDone }
        let pause = (ContinuousClock.now - began) * Self.pauseFactor
        usleep(useconds_t(clamping: Int64(pause / .microseconds(1))))
        return true
    }
}
