internal import Foundation

/// Points for a program, and its gradient, in the forms of its files. A session that is in memory
/// only has the converter: the daemon reads and writes every form.
struct CheckedPoints {
    private struct Parameters: Decodable {
        struct Tensor: Decodable { var values: [Double] }

        var params: [Tensor]
    }

    private let peer: Peer
    private let path: String
    private let files: EvaluationFiles

    init(
        _ peer: Peer, count: Int, dtype: String, files: EvaluationFiles
    ) throws(CommandFailure) {
        self.peer = peer
        self.files = files
        let body = "{\"dtype\": \"\(dtype)\", \"params\": [{\"shape\": [\(count)], \"fill\": 0}]}"
        let made = try peer.call(SessionDetail.self, "POST", "/v1/sessions", Array(body.utf8))
        path = "/v1/sessions/\(made.id)/params"
    }

    func write(_ x: [Double]) throws(CommandFailure) {
        guard files.point.form != .text else { return try files.point.write(x) }
        _ = try peer.call("PUT", path, Array("{\"x\": \(jsonText(x))}".utf8))
        try files.point.write(peer.call("GET", path, accept: files.point.form.mediaType))
    }

    func readGradient() throws(CommandFailure) -> [Double] {
        let file = files.gradient
        guard file.form != .text else { return try file.numbers() }
        _ = try peer.call("PUT", path, file.read(), type: file.form.mediaType)
        return try peer.call(Parameters.self, "GET", path).params.flatMap(\.values)
    }
}
