/// Damage to a log that a crash does not explain.
package enum LogCorruption: Error, Equatable, CustomStringConvertible {
    /// A frame is wrong, and whole frames follow it.
    case damagedFrame(path: String, offset: Int)
    /// The two files do not continue each other.
    case framesMissing(directory: String)
    /// A frame matches its checksum, and its records do not fill it.
    case malformedRecords(path: String, offset: Int)

    package var description: String {
        switch self {
        case .damagedFrame(let path, let offset):
            "\(path) has a damaged frame at byte \(offset), before others that are whole"
        case .framesMissing(let directory):
            "frames are missing between the log files in \(directory)"
        case .malformedRecords(let path, let offset):
            "the records of the frame at byte \(offset) of \(path) do not fill it"
        }
    }
}

/// What recovery finds in one file of the log.
struct RecoveredEpoch {
    let number: UInt64
    private(set) var frames: UInt64 = 0
    let previousFrames: UInt64
    private(set) var records: [ArraySlice<UInt8>] = []

    /// Reads the file up to the frame that was being written when the process ended. Returns nil
    /// when the file holds no epoch newer than `checkpointed`.
    init?(in file: DiskFile, newerThan checkpointed: UInt64) throws {
        let bytes = try file.readAll()
        let first = LogFrame.decode(bytes, at: 0)?.header
        number = first?.epoch ?? 0
        previousFrames = first?.previousFrames ?? 0
        var offset = 0
        if number > checkpointed {
            while let frame = LogFrame.decode(bytes, at: offset), frame.header.epoch == number,
                frame.header.number == frames
            {
                guard let found = LogFrame.records(in: bytes[frame.records]) else {
                    throw LogCorruption.malformedRecords(path: file.path, offset: offset)
                }
                records += found
                frames += 1
                offset = frame.records.upperBound
            }
        }
        // Frames of older epochs may lie behind: the file is overwritten from its start.
        guard !LogFrame.hasFrame(in: bytes, from: offset, newerThan: checkpointed) else {
            throw LogCorruption.damagedFrame(path: file.path, offset: offset)
        }
        if frames == 0 { return nil }
    }
}
