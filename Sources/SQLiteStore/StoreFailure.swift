import DiskLog
import GRDB
import SessionModel

/// How the store reacts to an error.
enum StoreFailure {
    /// The error is reported to the caller, and the store goes on.
    case error(StoreError)
    /// A sync failed. The kernel may have dropped the dirty pages and marked them clean, so that a
    /// later sync succeeds without them, and SQLite goes on as if nothing had happened: the process
    /// must end, and the next one recovers from what is on the disk.
    case fatal(String)

    /// An I/O error while less space than this is available is taken for a full disk.
    private static let spareBytes = 1 << 20

    init(_ error: any Error, directory: String) {
        switch error {
        case let error as StoreError:
            self = .error(error)
        case let failure as FileError where failure.operation == .sync:
            self = .fatal(failure.description)
        case let failure as FileError:
            self = .error(
                failure.isNoSpace ? .full(failure.description) : .failed(failure.description))
        case let error as SegmentReadError:
            self = .error(.corrupt(error.description))
        case let corruption as LogCorruption:
            self = .error(.corrupt(corruption.description))
        case let error as DatabaseError:
            self = StoreFailure(sqlite: error, directory: directory)
        default:
            self = .error(.failed("\(error)"))
        }
    }

    /// The error for the caller of a read. Reading never ends the process.
    var ofReading: StoreError {
        switch self {
        case .error(let error): error
        case .fatal(let reason): .failed(reason)
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
                // A full disk shows as an I/O error without a reason when the WAL's index grows, or
                // when the WAL writes to space that was promised to it.
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
