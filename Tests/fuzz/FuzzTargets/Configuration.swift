internal import Foundation
@testable import lbfgsd

/// A configuration file or a token file: settings, or messages that say which lines are wrong.
@Sendable func fuzzConfiguration(_ input: [UInt8]) {
    let path = "\(FileManager.default.temporaryDirectory.path)/lbfgsd-fuzz-\(getpid()).yaml"
    do {
        try Data(input).write(to: URL(filePath: path))
    } catch {
        preconditionFailure("\(path) can't be written: \(error)")
    }
    _ = try? Configuration(commandLine: [:], environment: [:], file: path)
    _ = try? TokenFile.read(path)
}
