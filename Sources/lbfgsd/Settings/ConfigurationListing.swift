extension Configuration {
    /// The settings in effect as a configuration file, each with its origin.
    var listing: String {
        let lines = Setting.all.map { setting -> (String, String) in
            let value = setting.shown(in: settings)
            let origin = origin(of: setting).text
            guard !value.isEmpty else { return ("# \(setting.key):", "not set (\(origin))") }
            return ("\(setting.key): \(YAMLScalar.text(value, for: setting))", origin)
        }
        let width = lines.map(\.0.count).max() ?? 0
        return lines.map { line, origin in
            line + String(repeating: " ", count: width - line.count) + "  # \(origin)"
        }
        .joined(separator: "\n")
    }
}

/// The example configuration file: every setting with its help, range, environment variable and
/// default, commented out.
enum ExampleConfiguration {
    static var text: String {
        var text = """
            # Configuration of lbfgsd: every setting, commented out, with its default (or an
            # example, where there is none). Each can also be given in the environment and, with --
            # before its name, on the command line; the command line wins over the environment, and
            # the environment over this file.
            #
            # Check it with: lbfgsd check-config --config FILE

            """
        for section in Setting.Section.allCases {
            text += "\n# \(section.rawValue)\n# \(String(repeating: "-", count: 70))\n"
            for setting in Setting.all where setting.section == section {
                text += "\n" + entry(for: setting)
            }
        }
        return text
    }

    private static func entry(for setting: Setting) -> String {
        let shape = "Must be \(setting.requirement). Environment: \(setting.environmentName)."
        let comment = wrapped(setting.help, width: 94) + wrapped(shape, width: 94)
        let value = YAMLScalar.text(setting.example, for: setting)
        return comment.map { "# \($0)\n" }.joined() + "#\(setting.key): \(value)\n"
    }

    private static func wrapped(_ text: String, width: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in text.split(separator: " ") {
            if !line.isEmpty, line.count + 1 + word.count > width {
                lines.append(line)
                line = ""
            }
            line += (line.isEmpty ? "" : " ") + word
        }
        return lines + (line.isEmpty ? [] : [line])
    }
}

enum YAMLScalar {
    /// Unquoted when that is safe, in double quotes otherwise.
    static func text(_ value: String, for setting: Setting) -> String {
        guard setting.isText else { return value }
        let plain = value.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || "/._-".utf8.contains(byte)
        }
        if plain { return value }
        let escaped = value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
            .replacing("\n", with: "\\n").replacing("\t", with: "\\t")
        return "\"\(escaped)\""
    }
}
