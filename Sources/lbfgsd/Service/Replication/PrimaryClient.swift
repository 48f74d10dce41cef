internal import Foundation
internal import SQLiteStore
internal import Sessions
internal import Webhooks
internal import Wire

/// The replication operations of another daemon, over HTTP.
final class PrimaryClient: PrimaryConnection {
    private let connection: HTTPConnection
    private static let timeoutSeconds = 30.0
    /// Above the longest answer: a change, as long as a transaction.
    private static let answerBytesMax = 1 << 30

    /// - Parameter url: Of the daemon, without a path.
    init(_ url: String, tokenFile: String?) throws(CommandFailure) {
        connection = HTTPConnection(
            to: url, token: try tokenFile.map(PrimaryClient.token),
            userAgent: "lbfgsd/\(Version.current)",
            certificateAuthoritiesPath: ProcessInfo.processInfo.environment["SSL_CERT_FILE"])
    }

    /// The URL without a slash at the end.
    static func base(_ url: String) throws(CommandFailure) -> String {
        var text = url[...]
        while text.last == "/" { text.removeLast() }
        let parsed = try? WebhookURL(text: String(text))
        guard let parsed, parsed.target == "/" else {
            throw CommandFailure(
                .usage, "\(url): must be http:// or https://, a host and perhaps a port")
        }
        return String(text)
    }

    private static func token(_ path: String) throws(CommandFailure) -> String {
        guard let data = try? Data(contentsOf: URL(filePath: path)),
            let text = String(validating: data, as: UTF8.self),
            let token = text.split(whereSeparator: \.isWhitespace).first
        else {
            throw CommandFailure(.configuration, "primary-token-file \(path): holds no token")
        }
        return String(token)
    }

    // MARK: Operations

    func status() throws(PrimaryError) -> ReplicationStatus {
        try status(in: try send("/v1/replication"))
    }

    func beginBase(standby: String, term: Int) throws(PrimaryError) -> ReplicationStatus {
        try status(
            in: try send(
                "/v1/replication/base", BaseRequest(standby: standby, term: term).json))
    }

    func changes(
        after number: Int, of feed: String, standby: String, term: Int, isCopying: Bool,
        waitSeconds: Double
    ) throws(PrimaryError) -> [UInt8] {
        let request = ChangesRequest(
            standby: standby, term: term, feed: feed, after: number, isCopying: isCopying,
            waitSeconds: waitSeconds)
        return try send("/v1/replication/changes", request.json, waitSeconds: waitSeconds) ?? []
    }

    func filePart(
        _ name: String, from offset: Int, count: Int, known: [UInt8]?
    ) throws(PrimaryError) -> [UInt8]? {
        try send(
            "/v1/replication/files/\(name)?offset=\(offset)&count=\(count)",
            fields: known.map { ["If-None-Match: \"\(Digest.of($0))\""] } ?? [])
    }

    /// Makes the daemon refuse writes, since a store with this term is being promoted.
    func fence(term: Int) throws(PrimaryError) -> ReplicationStatus {
        try status(in: try send("/v1/replication/fence", FenceRequest(term: term).json))
    }

    // MARK: Requests

    private func status(in answer: [UInt8]?) throws(PrimaryError) -> ReplicationStatus {
        do {
            return try ReplicationStatus(json: answer ?? [])
        } catch {
            throw .rejected("the answer is none of lbfgsd's: \(error)")
        }
    }

    /// The body of a good answer; nil if nothing has changed.
    private func send(
        _ path: String, _ body: [UInt8]? = nil, fields: [String] = [], waitSeconds: Double = 0
    ) throws(PrimaryError) -> [UInt8]? {
        let answer: HTTPConnection.Answer
        do {
            answer = try connection.send(
                path, body: body, fields: fields,
                timeoutSeconds: Self.timeoutSeconds + waitSeconds, bytesMax: Self.answerBytesMax)
        } catch {
            throw .unreachable(error.description)
        }
        if answer.status == 200 { return answer.body }
        if answer.status == 304 { return nil }
        throw Self.error(answer)
    }

    private static func error(_ answer: HTTPConnection.Answer) -> PrimaryError {
        guard let problem = ProblemSummary(json: answer.body) else {
            return answer.status >= 500
                ? .unreachable("status \(answer.status)")
                : .rejected("status \(answer.status), which is no answer of lbfgsd's")
        }
        switch problem.kind {
        case "fenced": return .refused(.fenced(term: problem.term ?? 0))
        case "changes-gone": return .refused(.gone)
        case "other-standby": return .refused(.otherStandby(problem.detail))
        case "replication-off": return .refused(.off)
        case "not-found": return .refused(.fileMissing(problem.detail))
        default:
            let text = "\(answer.status) \(problem.kind): \(problem.detail)"
            return answer.status >= 500 || answer.status == 429
                ? .unreachable(text) : .rejected(text)
        }
    }
}
