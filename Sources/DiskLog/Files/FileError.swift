import Glibc

/// A system call that failed, and the file it was for.
package struct FileError: Error, Equatable, CustomStringConvertible {
    package enum Operation: String, Sendable {
        case open, read, write, sync, truncate, lock, status, punch, makeDirectory, remove
    }

    package let operation: Operation
    package let path: String
    /// `errno`
    package let code: CInt

    package init(operation: Operation, path: String, code: CInt) {
        self.operation = operation
        self.path = path
        self.code = code
    }

    /// ENOSPC, or EDQUOT for a quota: writing may succeed again later.
    package var isNoSpace: Bool { code == ENOSPC || code == EDQUOT }
    /// The file does not exist, or ends before the bytes that were asked for.
    package var isAbsent: Bool { code == ENOENT || code == ENODATA }

    package var description: String {
        // Sound: strerror returns a string that is valid until the next call on this thread.
        let reason = unsafe String(cString: strerror(code))
        return "\(operation.rawValue) of \(path) failed: \(reason)"
    }
}
