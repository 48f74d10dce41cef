import DiskLog
import SessionModel

/// The bytes of a blob in a segment, read and verified when they are needed.
struct SegmentOctets: StoredOctets {
    let slice: SegmentSlice

    var count: Int { slice.count }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(StoreError) {
        try unsafe slice.readOrStoreError(into: buffer)
    }
}

/// Bytes in a staged segment: whole and synced, and not named by a row yet.
struct StagedOctets: StoredOctets {
    let slice: SegmentSlice

    var count: Int { slice.count }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(StoreError) {
        try unsafe slice.readOrStoreError(into: buffer)
    }
}

extension SegmentSlice {
    fileprivate func readOrStoreError(
        into buffer: UnsafeMutableRawBufferPointer
    ) throws(StoreError) {
        do {
            try unsafe read(into: buffer)
        } catch {
            throw StoreFailure(error, directory: directory.path).ofReading
        }
    }
}
