/// Writes the Prometheus text exposition format, version 0.0.4. Each line ends with a line feed,
/// and the samples of a family follow its `# HELP` and `# TYPE` lines.
struct PrometheusText {
    private(set) var text = ""

    mutating func family(_ name: String, help: String, kind: InstrumentKind) {
        text += "# HELP \(name) \(PrometheusText.escaped(help, quotes: false))\n"
        text += "# TYPE \(name) \(kind.rawValue)\n"
    }

    mutating func sample(_ name: String, labels: [(String, String)], value: String) {
        text += name
        if !labels.isEmpty {
            let pairs = labels.map { key, value in
                "\(key)=\"\(PrometheusText.escaped(value, quotes: true))\""
            }
            text += "{" + pairs.joined(separator: ",") + "}"
        }
        text += " \(value)\n"
    }

    /// Escapes backslash and line feed; in a label's value the double quote, too.
    private static func escaped(_ text: String, quotes: Bool) -> String {
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    /// A number as Go's `ParseFloat` reads it. Integers have no fraction.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if let whole = Int(exactly: value), whole.magnitude < 1 << 53 { return String(whole) }
        return String(value)
    }

    /// `[a-zA-Z_][a-zA-Z0-9_]*`. Colons are also legal, but reserved for recording rules.
    static func isName(_ name: String) -> Bool {
        guard let first = name.utf8.first, isLetter(first) else { return false }
        return name.utf8.allSatisfy { isLetter($0) || isDigit($0) }
    }

    /// A name other than the reserved ones: those with the prefix `__`, and histograms' `le`.
    static func isLabelName(_ name: String) -> Bool {
        isName(name) && !name.hasPrefix("__") && name != "le"
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || byte == UInt8(ascii: "_")
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}
