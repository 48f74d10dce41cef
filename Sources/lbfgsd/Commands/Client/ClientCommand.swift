internal import ArgumentParser
internal import Foundation
internal import Glibc

/// A command that asks a daemon: its failures end it with a message and a status.
protocol ClientCommand: ParsableCommand {
    var options: ClientOptions { get }
    func perform(_ peer: Peer) throws(CommandFailure)
}

extension ClientCommand {
    func run() throws {
        do throws(CommandFailure) {
            try perform(options.peer.peer())
        } catch {
            throw error.report()
        }
    }
}

struct ClientOptions: ParsableArguments {
    @OptionGroup
    var peer: PeerOptions

    @Flag(help: "Print the daemon's answer, as JSON, for programs.")
    var json = false
}

/// Prints the bytes and a line's end.
func printLine(_ bytes: [UInt8]) {
    FileHandle.standardOutput.write(Data(bytes + [UInt8(ascii: "\n")]))
}

extension Peer {
    /// The path of a session that is named by its identifier, or by a name that no other one has.
    func session(_ word: String) throws(CommandFailure) -> String {
        "/v1/sessions/" + (try identifier(of: word))
    }

    func identifier(of word: String) throws(CommandFailure) -> String {
        let isIdentifier =
            word.count == 21 && word.hasPrefix("s")
            && word.utf8.allSatisfy {
                UInt8(ascii: "a")...UInt8(ascii: "z") ~= $0
                    || UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0
            }
        if isIdentifier { return word }
        guard let found = try sessionNamed(word) else {
            throw CommandFailure(.failure, "\(word): no session has this identifier or name")
        }
        return found.id
    }

    /// The only session of this name; nil if there is none.
    func sessionNamed(_ name: String) throws(CommandFailure) -> SessionLine? {
        let list = try call(
            SessionList.self, "GET", "/v1/sessions?page_size=2&name=" + percentEncoded(name))
        guard list.sessions.count <= 1 else {
            throw CommandFailure(
                .failure, "\(name): several sessions have this name; say which by its identifier")
        }
        return list.sessions.first
    }

    /// Calls `body` with each point of a session's trace, and with its line of NDJSON.
    func forEachTraceLine(
        _ path: String, from first: Int, _ body: (TraceLine, String) -> Void
    ) throws(CommandFailure) {
        let count = 10_000
        var next = first
        while true {
            let page = try call(
                "GET", "\(path)/trace?from=\(next)&limit=\(count)", accept: "application/x-ndjson")
            let lines = page.split(separator: UInt8(ascii: "\n"))
            for line in lines {
                let point = try Self.decode(TraceLine.self, from: Array(line))
                body(point, String(decoding: line, as: UTF8.self))
                next = point.evaluation + 1
            }
            if lines.count < count { return }
        }
    }

    /// Every point of a session's trace.
    func trace(_ path: String) throws(CommandFailure) -> [TraceLine] {
        var points: [TraceLine] = []
        try forEachTraceLine(path, from: 1) { point, _ in points.append(point) }
        return points
    }
}

/// The parts of `key=value`.
func labelParts(_ text: String) throws(CommandFailure) -> (key: String, value: String) {
    let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, !parts[0].isEmpty else {
        throw CommandFailure(.usage, "\(text): must be KEY=VALUE")
    }
    return (String(parts[0]), String(parts[1]))
}

/// `key=value` as a member of a JSON object: a number, true, false or null as such, else text.
func member(_ text: String) throws(CommandFailure) -> (key: String, value: Any) {
    let (key, value) = try labelParts(text)
    let plain = try? JSONSerialization.jsonObject(
        with: Data(value.utf8), options: .fragmentsAllowed)
    return (key, plain ?? value)
}

/// The session's last step as a sentence.
func sentence(_ result: StepOutcome) -> String {
    "\(result.reason), loss \(shortText(result.loss)), "
        + "gradient \(shortText(result.gradientNormInf)) "
        + "after \(result.iterations) iterations and \(result.evaluations) evaluations"
}

func note(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) == 1 }
