/// Where a setting's value came from.
enum Origin: Equatable, Sendable {
    case builtIn
    case file(path: String, line: Int)
    case environment(String)
    case commandLine(option: String)

    /// For messages: `/etc/lbfgsd/lbfgsd.yaml:12`.
    var text: String {
        switch self {
        case .builtIn: "default"
        case .file(let path, let line): "\(path):\(line)"
        case .environment(let name): "environment \(name)"
        case .commandLine(let option): "option --\(option)"
        }
    }
}

/// A setting that is unknown, of the wrong type, or out of range.
struct SettingProblem: Error, Equatable {
    var origin: Origin
    /// The setting's name, as it was written.
    var key: String
    var what: String

    var text: String {
        switch origin {
        case .builtIn, .file: "\(origin.text): \(key): \(what)"
        case .environment, .commandLine: "\(origin.text): \(what)"
        }
    }
}
