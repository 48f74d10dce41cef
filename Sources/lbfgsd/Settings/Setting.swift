/// One row of the settings table: everything that is known about a setting.
///
/// The same name serves everywhere: `--max-sessions` on the command line, `LBFGSD_MAX_SESSIONS` in
/// the environment, `max-sessions` in the configuration file.
struct Setting: Sendable {
    enum Section: String, CaseIterable, Sendable {
        case access = "Address and access"
        case tenants = "Quotas of each tenant"
        case storage = "Storage"
        case replication = "A standby"
        case connections = "Connections"
        case sessions = "Sessions"
        case hooks = "Hooks"
        case operation = "Logging and shutdown"
    }

    let key: String
    let section: Section
    /// What it does and when to change it, in sentences.
    let help: String
    let placeholder: String
    let requirement: String
    let isText: Bool
    /// Its default, or a possible value when it has none.
    let example: String

    private let assign: @Sendable (String, inout Settings) -> Bool
    private let text: @Sendable (Settings) -> String

    init<Value>(
        _ key: String, _ path: any WritableKeyPath<Settings, Value> & Sendable,
        _ form: ValueForm<Value>, in section: Section, _ help: String
    ) {
        self.key = key
        self.section = section
        self.help = help
        placeholder = form.placeholder
        requirement = form.requirement
        isText = form.isText
        assign = { text, settings in
            guard let value = form.read(text) else { return false }
            settings[keyPath: path] = value
            return true
        }
        text = { form.show($0[keyPath: path]) }
        let builtIn = form.show(Settings()[keyPath: path])
        example = builtIn.isEmpty ? form.example : builtIn
    }

    static let environmentPrefix = "LBFGSD_"

    var environmentName: String {
        Setting.environmentPrefix + key.uppercased().replacing("-", with: "_")
    }

    /// Returns false and changes nothing when the text doesn't meet the requirement.
    func set(_ text: String, in settings: inout Settings) -> Bool { assign(text, &settings) }

    /// The value as it would be written in a file; empty when it isn't set.
    func shown(in settings: Settings) -> String { text(settings) }

    static func named(_ key: String) -> Setting? { all.first { $0.key == key } }
}
