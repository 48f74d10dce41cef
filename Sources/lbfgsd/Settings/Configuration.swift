internal import Wire

/// The settings in effect, and where each came from.
///
/// The command line wins over the environment, the environment over the configuration file, and
/// the file over the defaults. All errors are reported at once.
struct Configuration: Sendable {
    private(set) var settings = Settings()
    private var origins: [String: Origin] = [:]
    /// Environment variables whose names look like misspelt settings.
    private(set) var misspeltVariables: [(name: String, meant: String)] = []

    /// The file to read when the command line names none.
    static let fileVariable = "LBFGSD_CONFIG"

    init(
        commandLine given: [String: String], environment: [String: String],
        file path: String?
    ) throws(CommandFailure) {
        let fields = Mirror(reflecting: settings).children.count
        precondition(fields == Setting.all.count, "each setting has one row in Setting.all")
        if let state = environment["STATE_DIRECTORY"]?.split(separator: ":").first {
            settings.data = .directory(String(state))
            origins["data"] = .environment("STATE_DIRECTORY")
        }
        var problems: [SettingProblem] = []
        if let path = path ?? environment[Configuration.fileVariable], !path.isEmpty {
            problems += apply(try ConfigurationFile.read(path))
        }
        problems += applyEnvironment(environment)
        // A wrong option is a usage error; a wrong file or variable is a configuration error.
        let wrongOptions = apply(commandLine: given)
        if problems.isEmpty, wrongOptions.isEmpty { problems += contradictions() }
        guard problems.isEmpty, wrongOptions.isEmpty else {
            throw CommandFailure(
                problems.isEmpty ? .usage : .configuration, (problems + wrongOptions).map(\.text))
        }
    }

    /// Settings that are right one by one, but not together.
    private mutating func contradictions() -> [SettingProblem] {
        guard settings.bodyBytesMax > settings.bodyBytesInFlightMax else { return [] }
        guard let origin = origins["max-body-bytes"] else {
            // Only the budget was given: it is the limit of each body as well.
            settings.bodyBytesMax = settings.bodyBytesInFlightMax
            return []
        }
        return [
            SettingProblem(
                origin: origin, key: "max-body-bytes",
                what: "must be at most max-body-bytes-in-flight, which is "
                    + "\(settings.bodyBytesInFlightMax) bytes, not \(settings.bodyBytesMax): a "
                    + "body of that size would always be answered with 503")
        ]
    }

    func origin(of setting: Setting) -> Origin { origins[setting.key] ?? .builtIn }

    private mutating func apply(_ file: ConfigurationFile) -> [SettingProblem] {
        file.entries.compactMap { entry in
            let origin = Origin.file(path: file.path, line: entry.line)
            guard let setting = Setting.named(entry.key) else {
                let names = Setting.all.map(\.key)
                let hint = nearestName(to: entry.key, in: names)
                    .map { "; did you mean \($0)?" }
                return SettingProblem(
                    origin: origin, key: entry.key, what: "is no setting\(hint ?? "")")
            }
            let text: String
            switch entry.value {
            case .plain(let plain):
                text = plain
            case .quoted(let quoted) where setting.isText:
                text = quoted
            case .quoted(let quoted):
                return SettingProblem(
                    origin: origin, key: entry.key,
                    what: "must be \(setting.requirement), without quotes, not text \"\(quoted)\"")
            case .missing:
                return SettingProblem(
                    origin: origin, key: entry.key,
                    what: "has no value; it must be \(setting.requirement)")
            case .collection:
                return SettingProblem(
                    origin: origin, key: entry.key,
                    what: "must be \(setting.requirement), not a list or a mapping")
            }
            return assign(text, to: setting, from: origin)
        }
    }

    /// An empty variable counts as unset, as it does for most programs.
    private mutating func applyEnvironment(_ environment: [String: String]) -> [SettingProblem] {
        let names = Setting.all.map(\.environmentName) + [Configuration.fileVariable]
        // Compared without their common prefix, which would make any two look alike.
        let prefix = Setting.environmentPrefix
        let suffixes = names.map { String($0.dropFirst(prefix.count)) }
        for name in environment.keys.sorted() where name.hasPrefix(prefix) && !names.contains(name)
        {
            if let meant = nearestName(to: String(name.dropFirst(prefix.count)), in: suffixes) {
                misspeltVariables.append((name, prefix + meant))
            }
        }
        return Setting.all.compactMap { setting in
            let name = setting.environmentName
            guard let text = environment[name], !text.isEmpty else { return nil }
            return assign(text, to: setting, from: .environment(name))
        }
    }

    private mutating func apply(commandLine given: [String: String]) -> [SettingProblem] {
        Setting.all.compactMap { setting in
            given[setting.key].flatMap {
                assign($0, to: setting, from: .commandLine(option: setting.key))
            }
        }
    }

    private mutating func assign(
        _ text: String, to setting: Setting, from origin: Origin
    ) -> SettingProblem? {
        guard setting.set(text, in: &settings) else {
            return SettingProblem(
                origin: origin, key: setting.key,
                what: "must be \(setting.requirement), not \"\(text)\"")
        }
        origins[setting.key] = origin
        return nil
    }
}
