internal import LBFGS

/// Bytes that are no snapshot of an engine that can be read.
enum SnapshotFormatError: Error, Equatable {
    /// They do not begin as a snapshot does.
    case unknownFormat
    /// They were written by a newer version of the library.
    case version(UInt32)
    /// There are more or fewer bytes than the snapshot has.
    case wrongSize(expected: UInt64, got: Int)
    /// The checksum is not that of the bytes.
    case checksum(stored: UInt64, computed: UInt32)
    /// The scalars cannot be read; a sentence that begins after "the scalars".
    case scalars(String)
    /// The parts do not follow each other as they must.
    case layout(String)
    /// A part has a value that no engine has.
    case state(SnapshotError)

    /// What is wrong, in a sentence.
    var text: String {
        switch self {
        case .unknownFormat: "the bytes are no snapshot of lbfgsd's engine"
        case .version(let version):
            "the snapshot has version \(version); this library reads "
                + "\(SnapshotHeader.versionMax) at most"
        case .wrongSize(let expected, let got): "the snapshot has \(expected) bytes, not \(got)"
        case .checksum(let stored, let computed):
            "the snapshot is damaged: its checksum is \(stored), that of its bytes \(computed)"
        case .scalars(let reason): "the scalars \(reason)"
        case .layout(let reason): "the snapshot \(reason)"
        case .state(let error): "\(error.field) \(error.reason)"
        }
    }
}
