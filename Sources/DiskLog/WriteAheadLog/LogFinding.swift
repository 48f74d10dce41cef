/// Something that recovery met and that did not keep the log from opening.
package enum LogFinding: Equatable, Sendable, CustomStringConvertible {
    /// One bit of a frame was wrong, and was corrected.
    case correctedBit(path: String, byte: Int)
    /// The newest frame is incomplete and is ignored: it was being written when the process ended,
    /// or more than one bit of it was damaged later.
    case incompleteFrame(path: String, offset: Int, bytes: Int)

    package var description: String {
        switch self {
        case .correctedBit(let path, let byte):
            "\(path): a flipped bit in byte \(byte) was corrected"
        case .incompleteFrame(let path, let offset, let bytes):
            "\(path): the newest record, \(bytes) bytes at byte \(offset), is incomplete and was "
                + "ignored; it was being written when the process ended, or was damaged since"
        }
    }
}
