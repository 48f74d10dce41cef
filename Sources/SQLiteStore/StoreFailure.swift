import DiskLog
import GRDB
import SessionModel

extension StoreError {
    /// The error with the session that it is about.
    func naming(_ session: SessionID) -> StoreError {
        guard case .corrupt(let what) = self, !what.contains(session.rawValue) else { return self }
        return .corrupt("session \(session): \(what)")
    }
}

/// How the store reacts to an error.
enum StoreFailure {
    /// The error is reported to the caller, and the store goes on.
    case error(StoreError)
    /// A sync failed. The kernel may have dropped the dirty pages and marked them clean, so that a
    /// later sync succeeds without them, and SQLite goes on as if nothing had happened: the process
    /// must end, and the next one recovers from what is on the disk. The same when a file that is
    /// written to has lost its name.
    case fatal(String)

    /// An I/O error while less space than this is available is taken for a full disk.
    private static let spareBytes = 1 << 20

    /// - Parameter systemCode: The `errno` behind an I/O error of SQLite, or 0 if it isn't known.
    init(_ error: any Error, directory: String, systemCode: CInt = 0) {
        switch error {
        case let error as StoreError:
            self = .error(error)
        case let failure as FileError where [.sync, .find].contains(failure.operation):
            self = .fatal(failure.description)
        case let failure as FileError:
            self = .error(
                failure.isNoSpace ? .full(failure.description) : .failed(failure.description))
        case let error as SegmentReadError:
            self = .error(.corrupt(error.description))
        case let corruption as LogCorruption:
            self = .error(.corrupt(corruption.description))
        case let error as DatabaseError:
            self = StoreFailure(sqlite: error, directory: directory, systemCode: systemCode)
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

    private init(sqlite error: DatabaseError, directory: String, systemCode: CInt) {
        let text = "SQLite: \(error.message ?? "no message") (\(error.extendedResultCode.rawValue))"
        switch error.resultCode {
        case .SQLITE_FULL:
            self = .error(.full("no space left in \(directory)"))
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            self = .error(.corrupt(text))
        case .SQLITE_ERROR where error.message?.hasPrefix("no such ") == true:
            // All statements name tables and columns that every store has: the schema's text is
            // damaged.
            self = .error(.corrupt(text))
        case .SQLITE_IOERR:
            switch error.extendedResultCode {
            case .SQLITE_IOERR_FSYNC, .SQLITE_IOERR_DIR_FSYNC:
                self = .fatal(text)
            default:
                // A full disk shows as an I/O error without a reason when the WAL's index grows, or
                // when the WAL writes to space that was promised to it. SQLite knows a full disk
                // only as ENOSPC, not as a quota or as the process's limit.
                let available = DiskFile.availableBytes(at: directory) ?? .max
                let isFull =
                    available < StoreFailure.spareBytes || FileError.isNoSpace(systemCode)
                self = .error(isFull ? .full("no space left in \(directory)") : .failed(text))
            }
        default:
            self = .error(.failed(text))
        }
    }
}
