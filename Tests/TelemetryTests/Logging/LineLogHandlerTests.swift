import Logging
import Telemetry
import Testing

import struct Foundation.Date

@Suite struct LineLogHandlerTests {
    private func line(
        _ message: String, _ metadata: Logger.Metadata = [:], level: Logger.Level = .info,
        format: LogFormat = .journal
    ) -> String {
        LineLogHandler.line(
            level: level, message: message, metadata: metadata, label: "test", format: format,
            now: Date(timeIntervalSince1970: 1_700_000_000.25))
    }

    @Test func theJournalGetsAPriorityAndKeysInOrder() {
        #expect(line("begun", ["b": "2", "a": "1"]) == "<6>begun a=1 b=2 log=test\n")
    }

    @Test(arguments: [
        (Logger.Level.trace, 7), (.debug, 7), (.info, 6), (.notice, 5), (.warning, 4), (.error, 3),
        (.critical, 2),
    ])
    func levelsAreSyslogsPriorities(level: Logger.Level, priority: Int) {
        #expect(line("m", level: level).hasPrefix("<\(priority)>m "))
    }

    @Test func aFileGetsTheTimeToo() {
        #expect(line("m", format: .timestamped) == "<6>2023-11-14T22:13:20.250Z m log=test\n")
    }

    @Test func aCollectorGetsOneJSONObjectALine() throws {
        let text = line(
            "say \"so\"\n\u{202E}\u{1}", ["k": "back\\slash", "größe": "1"], level: .warning,
            format: .json)
        #expect(
            text
                == #"{"time":"2023-11-14T22:13:20.250Z","level":"warning","label":"test","#
                + #""message":"say \"so\"\n\u202e\u0001","#
                + #""metadata":{"größe":"1","k":"back\\slash"}}"# + "\n")
    }

    @Test func aPersonGetsTheClockAndTheLevelsName() {
        #expect(line("m", format: .terminal(colour: false)) == "22:13:20.250 INFO     m log=test\n")
        #expect(
            line("m", level: .error, format: .terminal(colour: true))
                == "22:13:20.250 \u{1B}[31mERROR   \u{1B}[0m m log=test\n")
    }

    @Test(arguments: [
        ("plain", "plain"), ("", #""""#), ("two words", #""two words""#), ("a=b", #""a=b""#),
        (#"say "so""#, #""say \"so\"""#), (#"back\slash"#, #""back\\slash""#),
        ("line\nfeed", #""line\nfeed""#), ("\u{1B}[31m", #""\u{1b}[31m""#),
        ("\u{202E}turned", #""\u{202e}turned""#), ("größe", "größe"),
    ])
    func valuesAreQuotedWhereTheyWouldEndEarly(value: String, text: String) {
        #expect(line("m", ["k": "\(value)"]) == "<6>m k=\(text) log=test\n")
    }

    @Test func nothingThatIsLoggedMakesASecondLine() {
        let nasty = "a\nb\r\nc\u{85}d\u{2028}e\u{0}f"
        let written = line(nasty, [nasty: "\(nasty)"])
        #expect(written.dropLast().unicodeScalars.allSatisfy { $0.value >= 0x20 })
        #expect(written.split(whereSeparator: \.isNewline).count == 1)
    }

    @Test func aSecretIsNeverShown() {
        let secret = Secret("hunter2-hunter2-hunter2")
        var dumped = ""
        dump(secret, to: &dumped)
        let shown = [
            "\(secret)", String(reflecting: secret), dumped,
            line("\(secret)", ["k": "\([secret])"]),
        ]
        #expect(shown.allSatisfy { !$0.contains("hunter2") && $0.contains("redacted") })
        #expect(secret.reveal() == "hunter2-hunter2-hunter2")
        #expect(secret == Secret("hunter2-hunter2-hunter2"))
    }
}
