import Glibc

/// A system call that failed, and the file it was for.
package struct FileError: Error, Equatable, CustomStringConvertible {
    package enum Operation: String, Sendable {
        case open, read, write, sync, allocate, truncate, lock, status, punch, makeDirectory, remove
        /// No call: the file was written to, and its name is gone.
        case find
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

    /// Whether there is no room: writing may succeed again later.
    package var isNoSpace: Bool { Self.isNoSpace(code) }
    /// ENOSPC, EDQUOT for a quota, or EFBIG for a process's limit on the size of files.
    package static func isNoSpace(_ code: CInt) -> Bool {
        [ENOSPC, EDQUOT, EFBIG].contains(code)
    }
    /// The file does not exist, or ends before the bytes that were asked for.
    package var isAbsent: Bool { code == ENOENT || code == ENODATA }

    package var description: String {
        if operation == .find { return "\(path) was removed or replaced while it was in use" }
        // Sound: strerror returns a string that is valid until the next call on this thread.
        let reason = unsafe String(cString: strerror(code))
        return "\(operation.rawValue) of \(path) failed: \(reason)"
    }
}
