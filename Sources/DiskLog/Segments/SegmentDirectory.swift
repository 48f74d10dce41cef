/// The directory of a store's segments, and what their readers and writers share.
///
///     000001.seg, 000002.seg ...   segments that transactions append to: positive numbers
///     000001.vec, 000002.vec ...   segments that hold one long byte string each: negative numbers
package final class SegmentDirectory: Sendable {
    package let path: String
    package let faults: FaultInjection
    package let buffers = AlignedBufferPool()
    package let pin: SegmentPin
    package let remover: SegmentRemover
    let directorySyncer = DirectorySyncer()

    package init(_ path: String, faults: FaultInjection) {
        self.path = path
        self.faults = faults
        pin = SegmentPin(Self.pinPath(path))
        remover = SegmentRemover(pin)
    }

    /// The pin's file is beside the directory, since everything in it is a segment.
    private static func pinPath(_ directory: String) -> String {
        (directory.split(separator: "/", omittingEmptySubsequences: false).dropLast() + ["pin"])
            .joined(separator: "/")
    }

    package func path(of segment: Int64) -> String {
        path + "/" + Self.fileName(segment)
    }

    package static func fileName(_ segment: Int64) -> String {
        let digits = String(segment.magnitude)
        return String(repeating: "0", count: max(0, 6 - digits.count)) + digits
            + (segment > 0 ? ".seg" : ".vec")
    }

    /// The segment that a file of this name is; nil for other names.
    package static func number(ofFile name: String) -> Int64? {
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 2, let magnitude = Int64(parts[0]), magnitude > 0 else { return nil }
        let number = parts[1] == "seg" ? magnitude : -magnitude
        return fileName(number) == name ? number : nil
    }

    /// Bytes that a segment occupies on the disk.
    package func allocatedBytes(of segment: Int64) -> Int {
        DiskFile.allocatedBytes(of: path(of: segment))
    }

    /// Removes a segment that no row names. If the process ends before, the next start removes it.
    package func remove(_ segment: Int64) { remover.remove(path(of: segment)) }
}
