internal import Foundation

/// Formats the parts of a log line so that they are safe to print.
enum LogText {
    /// Escapes control characters (C0, DEL, C1, line and paragraph separators) and the invisible
    /// marks for the direction of text as `\n`, `\t` or `\u{...}`.
    static func escaped(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isUnsafe) else { return text }
        var escaped = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n": escaped += "\\n"
            case "\r": escaped += "\\r"
            case "\t": escaped += "\\t"
            case _ where isUnsafe(scalar): escaped += "\\u{\(String(scalar.value, radix: 16))}"
            default: escaped.unicodeScalars.append(scalar)
            }
        }
        return escaped
    }

    private static func isUnsafe(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0, 0x2028, 0x2029, 0x202A...0x202E, 0x2066...0x2069: true
        default: false
        }
    }

    /// Quotes a value if it is empty or contains a character that would end it.
    static func value(_ text: String) -> String {
        let delimiters: [Unicode.Scalar] = [" ", "\"", "=", "\\"]
        let mustQuote = text.unicodeScalars.contains { delimiters.contains($0) || isUnsafe($0) }
        guard text.isEmpty || mustQuote else { return text }
        let quoted = text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"")
        return "\"\(escaped(quoted))\""
    }

    /// A JSON string. What `escaped` escapes is escaped here too, in JSON's way.
    static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case "\n": quoted += "\\n"
            case "\r": quoted += "\\r"
            case "\t": quoted += "\\t"
            case _ where isUnsafe(scalar):
                // All of these are in the basic plane, so four digits do.
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }

    /// Replaces characters that a key must not contain.
    static func key(_ text: String) -> String {
        let plain = text.unicodeScalars.map { scalar -> Character in
            isUnsafe(scalar) || scalar == " " || scalar == "=" || scalar == "\""
                ? "_" : Character(scalar)
        }
        return String(plain)
    }

    /// RFC 3339 in UTC, with milliseconds.
    static func timestamp(_ now: Date) -> String {
        now.formatted(Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }

    /// The time of day, for a terminal.
    static func clock(_ now: Date) -> String {
        String(timestamp(now).dropFirst("2026-01-01T".count).dropLast("Z".count))
    }
}
