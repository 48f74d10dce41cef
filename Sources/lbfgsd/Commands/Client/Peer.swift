internal import ArgumentParser
internal import Foundation
internal import Webhooks

/// Which daemon a command asks.
struct PeerOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            """
            The daemon: http://HOST:PORT, https:// through a proxy, or unix:PATH. (default: \
            $LBFGSD_URL, or http://127.0.0.1:8080)
            """, valueName: "url"))
    var url: String?

    @Option(
        help: ArgumentHelp(
            "File whose first line is the bearer token. (default: $LBFGSD_TOKEN)",
            valueName: "file"))
    var tokenFile: String?

    @Option(
        help: ArgumentHelp(
            "For how long a daemon that can't be reached is asked again.", valueName: "seconds"))
    var retry = 0.0

    func peer() throws(CommandFailure) -> Peer {
        let environment = ProcessInfo.processInfo.environment
        var token = environment["LBFGSD_TOKEN"]
        if let tokenFile {
            guard let text = try? String(contentsOfFile: tokenFile, encoding: .utf8) else {
                throw CommandFailure(.usage, "\(tokenFile): can't be read")
            }
            token = text.split(whereSeparator: \.isNewline).first.map(String.init)
        }
        return Peer(
            url ?? environment["LBFGSD_URL"] ?? "http://127.0.0.1:8080", token: token,
            retrySeconds: retry)
    }
}

/// A daemon, as a client sees it.
struct Peer: Sendable {
    private let url: String
    private let unixSocket: String?
    private let token: String?
    private let retrySeconds: Double

    /// - Parameters:
    ///   - location: A URL, or `unix:` and a path.
    ///   - retrySeconds: How long `call` asks again when there is no answer, or 503.
    init(_ location: String, token: String?, retrySeconds: Double = 0) {
        self.token = token
        self.retrySeconds = retrySeconds
        if location.hasPrefix("unix:") {
            url = "http://localhost"
            unixSocket = String(location.dropFirst("unix:".count))
        } else {
            url = location.hasSuffix("/") ? String(location.dropLast()) : location
            unixSocket = nil
        }
    }

    func exchange(_ path: String, _ fields: String...) -> FileExchange {
        exchange(path, fields: fields)
    }

    func exchange(_ path: String, fields: [String]) -> FileExchange {
        FileExchange(
            url: url + path, unixSocket: unixSocket,
            fields: fields + (token.map { ["Authorization: Bearer \($0)"] } ?? []))
    }

    func body(of outcome: FileExchange.Outcome) throws(CommandFailure) -> [UInt8] {
        switch outcome {
        case .done(let body): return body
        case .failed(let reason):
            throw CommandFailure(
                reason.contains("the file can't be") ? .storage : .unavailable,
                "\(unixSocket.map { "unix:" + $0 } ?? url): \(reason)")
        case .refused(let status, let body):
            let detail = (try? Peer.member("detail", of: body)) ?? "no reason was given"
            throw CommandFailure(.failure, "refused with \(status): \(detail)")
        }
    }

    /// A string of a JSON object.
    static func member(_ name: String, of body: [UInt8]) throws(CommandFailure) -> String {
        let object = try? JSONSerialization.jsonObject(with: Data(body)) as? [String: Any]
        guard let text = object?[name] as? String else {
            throw CommandFailure(.unavailable, "the answer is none of lbfgsd's")
        }
        return text
    }
}

extension Peer {
    /// Sends a request and returns the body of a 2xx; JSON unless the fields say otherwise.
    /// - Parameter path: With its query; see `percentEncoded`.
    func call(
        _ method: String, _ path: String, _ body: [UInt8]? = nil, type: String = "application/json",
        accept: String = "application/json"
    ) throws(CommandFailure) -> [UInt8] {
        // A request that is sent again after its answer was lost must not be a second one.
        let key = method == "POST" ? ["Idempotency-Key: \(UUID().uuidString)"] : []
        let content = body == nil ? [] : ["Content-Type: \(type)", "Expect:"]
        let request = exchange(path, fields: ["Accept: \(accept)"] + content + key)
        let deadline = Date.now + retrySeconds
        var pause = 0.1
        while true {
            let outcome = request.send(method, body)
            switch outcome {
            // It can't be reached, or has no room now: a restart, say.
            case .failed, .refused(status: 503, _):
                guard Date.now + pause < deadline else { return try self.body(of: outcome) }
                Thread.sleep(forTimeInterval: pause)
                pause = min(2 * pause, 5)
            case .done, .refused: return try self.body(of: outcome)
            }
        }
    }

    func call<Answer: Decodable>(
        _ type: Answer.Type, _ method: String, _ path: String, _ body: [UInt8]? = nil
    ) throws(CommandFailure) -> Answer {
        try Self.decode(type, from: call(method, path, body))
    }

    static func decode<Answer: Decodable>(
        _ type: Answer.Type, from body: [UInt8]
    ) throws(CommandFailure) -> Answer {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        decoder.nonConformingFloatDecodingStrategy = .convertFromString(
            positiveInfinity: "Infinity", negativeInfinity: "-Infinity", nan: "NaN")
        do {
            return try decoder.decode(type, from: Data(body))
        } catch {
            throw CommandFailure(.unavailable, "the answer is none of lbfgsd's: \(error)")
        }
    }
}

/// Encodes all but the unreserved characters of RFC 3986, section 2.3.
func percentEncoded(_ text: String) -> String {
    text.utf8.map { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: "~"):
            String(UnicodeScalar(byte))
        default: "%" + (byte < 0x10 ? "0" : "") + String(byte, radix: 16, uppercase: true)
        }
    }.joined()
}
