internal import CLbfgsd

/// Why a call failed: the status that it returns, and the text for `lbfgsd_error`.
struct LibraryError: Error {
    var status: lbfgsd_status
    var text: String

    init(_ status: lbfgsd_status, _ text: String) {
        (self.status, self.text) = (status, text)
    }

    static func null(_ name: String) -> LibraryError {
        LibraryError(LBFGSD_ERROR_NULL, "\(name) is NULL")
    }

    static let stepRuns = LibraryError(LBFGSD_ERROR_ORDER, "a step runs: it must end before")
    static let noStepRuns = LibraryError(LBFGSD_ERROR_ORDER, "no step runs: lbfgsd_begin() is next")
}

/// Runs the body of a function of the interface, and writes its error to memory of the caller.
/// - Parameters:
///   - error: The caller's memory, or nil.
///   - body: Returns the status of a call that succeeded.
/// - Returns: The function's status.
@inline(__always)
func report(
    to error: UnsafeMutablePointer<lbfgsd_error>?,
    _ body: () throws(LibraryError) -> lbfgsd_status
) -> lbfgsd_status {
    do throws(LibraryError) {
        let status = try body()
        unsafe write("", code: 0, to: error)
        return status
    } catch let failure {
        unsafe write(failure.text, code: failure.status.rawValue, to: error)
        return failure.status
    }
}

/// Writes a code and a text, which is cut where the memory ends.
private func write(_ text: String, code: Int32, to error: UnsafeMutablePointer<lbfgsd_error>?) {
    guard let error = unsafe error else { return }
    unsafe error.pointee.code = code
    // Sound: the text's array is the caller's, and what is written ends within it.
    unsafe withUnsafeMutableBytes(of: &error.pointee.text) { memory in
        var end = 0
        for character in text {
            let octets = character.utf8
            guard end + octets.count < memory.count else { break }
            for octet in octets {
                unsafe memory[end] = octet
                end += 1
            }
        }
        unsafe memory[end] = 0
    }
}

/// The pointer, unless it is NULL.
@inline(__always)
func required<Pointer>(_ pointer: Pointer?, _ name: String) throws(LibraryError) -> Pointer {
    guard let pointer else { throw .null(name) }
    return pointer
}
