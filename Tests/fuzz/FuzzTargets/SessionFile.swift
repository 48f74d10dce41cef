internal import SessionModel
@testable import Sessions
internal import Wire

/// A session file, whose digest is not looked at: it is refused with a field, or the session goes
/// on from it as `fuzzSnapshot`'s does.
@Sendable func fuzzSessionFile(_ input: [UInt8]) {
    var limits = Limits()
    limits.parametersMax = 64
    guard let end = try? SessionFile.Header.end(input, of: input.count), end <= input.count,
        let header = try? SessionFile.Header(safetensors: input[..<end], of: input.count)
    else { return }
    do throws(SessionError) {
        var file = try SessionImport(header, limits: limits)
        var start = end
        for entry in header.entries.dropLast() {
            file.take(entry.name, Array(input[start..<start + entry.byteCount]))
            start += entry.byteCount
        }
        var state = try file.state(.shared)
        var rest = FuzzInput(input[start...])
        drive(&state, &rest)
        _ = state.exported(name: nil, labels: [:])
    } catch {
        guard case .invalid(let errors) = error, errors.allSatisfy({ !$0.field.isEmpty }) else {
            preconditionFailure("a file is refused with \(error)")
        }
    }
}
