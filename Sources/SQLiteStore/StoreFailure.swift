import GRDB
import SessionModel

/// What an error met inside the store means.
enum StoreFailure {
    /// The caller hears of it and the store goes on.
    case error(StoreError)
    /// A sync failed. The kernel may have dropped the pages and call them clean, so that a later
    /// sync succeeds without them, and SQLite carries on as if nothing had happened: the process
    /// must end, and the next one recover from what is on the disk.
    case fatal(String)

    /// Less room than this on the disk explains an I/O error.
    private static let spareBytes = 1 << 20

    init(_ error: any Error, directory: String) {
        switch error {
        case let error as StoreError:
            self = .error(error)
        case let failure as DiskFailure where failure.operation == .sync:
            self = .fatal(failure.description)
        case let failure as DiskFailure:
            self = .error(
                failure.isNoSpace ? .full(failure.description) : .failed(failure.description))
        case let gone as SegmentBytesGone:
            self = .error(.corrupt(gone.what))
        case let error as DatabaseError:
            self = StoreFailure(sqlite: error, directory: directory)
        default:
            self = .error(.failed("\(error)"))
        }
    }

    private init(sqlite error: DatabaseError, directory: String) {
        let text = "SQLite: \(error.message ?? "no message") (\(error.extendedResultCode.rawValue))"
        switch error.resultCode {
        case .SQLITE_FULL:
            self = .error(.full("no space left in \(directory)"))
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            self = .error(.corrupt(text))
        case .SQLITE_IOERR:
            switch error.extendedResultCode {
            case .SQLITE_IOERR_FSYNC, .SQLITE_IOERR_DIR_FSYNC:
                self = .fatal(text)
            default:
                // A full disk reaches the log's index, and the log when its space was promised,
                // as an I/O error without the reason.
                let available = DiskFile.availableBytes(at: directory) ?? .max
                self = .error(
                    available < StoreFailure.spareBytes
                        ? .full("no space left in \(directory)") : .failed(text))
            }
        default:
            self = .error(.failed(text))
        }
    }
}
