internal import Dispatch
internal import Foundation
internal import Synchronization

/// `lbfgsd run --starts`: an ensemble whose points several copies of a program evaluate at once.
struct ManyStarts: Sendable {
    private struct EnsembleList: Decodable {
        struct Line: Decodable {
            var id: String
            var name: String?
        }

        var ensembles: [Line]
        var nextPageToken: String?
    }

    struct EnsembleAnswer: Decodable {
        struct Best: Decodable {
            var member: Int
            var session: String
            var state: String
            var loss: Double?
        }

        struct Members: Decodable {
            var waiting: Int
            var running: Int
            var ended: Int
            var abandoned: Int
        }

        var id: String
        var state: String
        var evaluations: Int
        var members: Members
        var best: Best?
    }

    private struct Offers: Decodable {
        struct Offer: Decodable {
            var member: Int
            var session: String
            var number: Int
            var x: [Double]
        }

        var state: String
        var evaluations: [Offer]
        var retryAfterSeconds: Double?
    }

    let peer: Peer
    let path: String
    private let command: [String]
    private let stopsOnFailure: Bool
    /// The first failure that ends the run.
    private let failure = Shared<CommandFailure?>(nil)

    /// A value that several threads use.
    final class Shared<Value: Sendable>: Sendable {
        private let value: Mutex<Value>

        init(_ value: Value) { self.value = Mutex(value) }

        func read() -> Value { value.withLock { $0 } }

        func change(_ body: (inout Value) -> Void) { value.withLock { body(&$0) } }
    }

    /// Finds the ensemble of this name, or makes it of the document.
    init(
        _ peer: Peer, name: String, document: [UInt8], command: [String], stopsOnFailure: Bool
    ) throws(CommandFailure) {
        self.peer = peer
        self.command = command
        self.stopsOnFailure = stopsOnFailure
        var token: String?
        var known: String?
        repeat {
            let query = token.map { "?page_token=" + percentEncoded($0) } ?? ""
            let list = try peer.call(EnsembleList.self, "GET", "/v1/ensembles\(query)")
            known = list.ensembles.first { $0.name == name }?.id
            token = list.nextPageToken
        } while known == nil && token != nil
        if let known {
            note("goes on with ensemble \(name)")
            path = "/v1/ensembles/\(known)"
        } else {
            let made = try peer.call(EnsembleAnswer.self, "POST", "/v1/ensembles", document)
            path = "/v1/ensembles/\(made.id)"
        }
    }

    /// Evaluates with so many copies of the program until every start has ended.
    func minimize(copies: Int) throws(CommandFailure) -> EnsembleAnswer {
        DispatchQueue.concurrentPerform(iterations: copies) { worker in
            do throws(CommandFailure) {
                let files = try EvaluationFiles(command)
                defer { files.remove() }
                while failure.read() == nil, try evaluateNext(files, worker: "run-\(worker)") {}
            } catch {
                failure.change { $0 = $0 ?? error }
            }
        }
        if let failure = failure.read() { throw failure }
        return try peer.call(EnsembleAnswer.self, "GET", path)
    }

    /// Returns whether there is more to do.
    private func evaluateNext(
        _ files: EvaluationFiles, worker: String
    ) throws(CommandFailure) -> Bool {
        let ask = "{\"count\": 1, \"worker\": \"\(worker)\", \"seconds\": 86400}"
        let offers = try peer.call(Offers.self, "POST", "\(path)/evaluations", Array(ask.utf8))
        guard let offer = offers.evaluations.first else {
            guard offers.state == "running" else { return false }
            // All points are with other copies.
            Thread.sleep(forTimeInterval: min(1, max(0.01, offers.retryAfterSeconds ?? 0.1)))
            return true
        }
        let session = "/v1/sessions/\(offer.session)"
        if files.point.form == .text {
            try files.point.write(offer.x)
        } else {
            try files.point.write(
                peer.call("GET", "\(session)/evaluation", accept: files.point.form.mediaType))
        }
        try files.removeResults()
        let what = "start \(offer.member), evaluation \(offer.number)"
        switch try files.runProgram(evaluation: offer.number) {
        case .computed(let loss):
            note("\(what): loss \(shortText(loss))")
            _ = try peer.tell(
                session, evaluation: offer.number, loss: loss, gradient: files.gradient)
        case .failed(let reason):
            if stopsOnFailure { throw CommandFailure(.failure, "\(what) failed: \(reason)") }
            note("\(what): \(reason)")
            _ = try peer.tell(session, evaluation: offer.number, failed: reason)
        }
        return true
    }
}
