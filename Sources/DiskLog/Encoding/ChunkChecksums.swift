/// Computes the checksum of each chunk of a byte string that arrives in regions of any length.
package struct ChunkChecksums {
    /// Long enough that the checksums take negligible space (4 bytes for 1 MiB), short enough that
    /// a wrong byte is located within a part that can be read again.
    package static let chunkBytes = 1 << 20

    private var checksums: [UInt8] = []
    private var current: UInt32 = 0
    private var filled = 0

    package init() {}

    package mutating func add(_ region: UnsafeRawBufferPointer) {
        var rest = unsafe region[...]
        while unsafe !rest.isEmpty {
            let count = unsafe min(rest.count, Self.chunkBytes - filled)
            // Sound: the piece lies in the region.
            let piece = unsafe UnsafeRawBufferPointer(rebasing: rest.prefix(count))
            current = unsafe CRC32C.checksum(piece, after: current)
            unsafe rest = rest.dropFirst(count)
            filled += count
            if filled == Self.chunkBytes { endChunk() }
        }
    }

    private mutating func endChunk() {
        checksums.appendLittleEndian(current)
        current = 0
        filled = 0
    }

    /// The checksums in order of the chunks, four little-endian bytes each.
    package consuming func finished() -> [UInt8] {
        if filled > 0 { endChunk() }
        return checksums
    }
}
