/// One row of the table: all there is to say about a setting.
///
/// The same name serves everywhere: `--max-sessions` on the command line, `LBFGSD_MAX_SESSIONS` in
/// the environment, `max-sessions` in the configuration file.
struct Setting: Sendable {
    enum Section: String, CaseIterable, Sendable {
        case access = "Address and access"
        case storage = "Storage"
        case connections = "Connections"
        case sessions = "Sessions"
        case hooks = "Hooks"
        case operation = "Logging and shutdown"
    }

    let key: String
    let section: Section
    /// Sentences: what it does, and when to change it.
    let help: String
    let placeholder: String
    let requirement: String
    let isText: Bool
    /// Its default, or what it could be when it has none.
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
        let usual = form.show(Settings()[keyPath: path])
        example = usual.isEmpty ? form.example : usual
    }

    var environmentName: String {
        "LBFGSD_" + key.uppercased().replacing("-", with: "_")
    }

    /// False, and no change, when the text doesn't meet the requirement.
    func set(_ text: String, in settings: inout Settings) -> Bool { assign(text, &settings) }

    /// As it would be written; empty when it isn't set.
    func shown(in settings: Settings) -> String { text(settings) }

    static func named(_ key: String) -> Setting? { all.first { $0.key == key } }

    /// The known name closest to a misspelt one, if one is close.
    static func suggestion(for key: String, among names: [String]) -> String? {
        names.map { ($0, distance(key, $0)) }
            .filter { $0.1 <= max(2, key.count / 4) }
            .min { $0.1 < $1.1 }?.0
    }

    /// Levenshtein's distance, by rows.
    private static func distance(_ one: String, _ other: String) -> Int {
        let other = Array(other)
        var row = Array(0...other.count)
        for (i, character) in one.enumerated() {
            var next = [i + 1]
            for (j, candidate) in other.enumerated() {
                next.append(
                    min(row[j] + (character == candidate ? 0 : 1), row[j + 1] + 1, next[j] + 1))
            }
            row = next
        }
        return row[other.count]
    }
}
