/// The directory of a store's segments, and what their readers and writers share.
///
///     000001.seg, 000002.seg ...   segments that transactions append to: positive numbers
///     000001.vec, 000002.vec ...   segments that hold one long byte string each: negative numbers
package final class SegmentDirectory: Sendable {
    package let path: String
    package let faults: FaultInjection
    package let buffers = AlignedBufferPool()
    package let remover = SegmentRemover()
    let directorySyncer = DirectorySyncer()

    package init(_ path: String, faults: FaultInjection) {
        self.path = path
        self.faults = faults
    }

    package func path(of segment: Int64) -> String {
        path + "/" + Self.fileName(segment)
    }

    package static func fileName(_ segment: Int64) -> String {
        let digits = String(segment.magnitude)
        return String(repeating: "0", count: max(0, 6 - digits.count)) + digits
            + (segment > 0 ? ".seg" : ".vec")
    }

    /// Removes a segment that no row names. If the process ends before, the next start removes it.
    package func remove(_ segment: Int64) { remover.remove(path(of: segment)) }
}
