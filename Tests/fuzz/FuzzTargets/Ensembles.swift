@testable import Ensembles
internal import Foundation
internal import SessionModel
@testable import Sessions
internal import Wire

/// Every document of an ensemble. One that can be created has its starts in the box, and is stored
/// and read back.
@Sendable func fuzzEnsemble(_ input: [UInt8]) {
    _ = try? EnsembleAsk(json: input)
    guard let document = try? JSONDocument(input) else { return }
    _ = try? EnsembleResults(document, itemsMax: 100)
    guard let request = try? EnsembleRequest(document) else { return }
    var limits = Limits()
    limits.ensembleMembersMax = 32
    limits.ensembleNumbersMax = 256
    do throws(SessionError) {
        checkStarts(try request.validated(limits))
    } catch {
        guard case .invalid(let errors) = error, errors.allSatisfy({ !$0.field.isEmpty }) else {
            preconditionFailure("an ensemble is refused with \(error)")
        }
    }
}

private func checkStarts(_ ensemble: ValidEnsemble) {
    let specification = ensemble.specification
    for number in 0..<specification.count {
        let start = ensemble.start(number)
        precondition(
            start.count == specification.parameterCount,
            "start \(number) has \(start.count) of \(specification.parameterCount) numbers")
        guard !ensemble.isGiven, let box = specification.box else { continue }
        precondition(
            start.indices.allSatisfy { box.lower($0) <= start[$0] && start[$0] <= box.upper($0) },
            "start \(number), \(start), is outside of \(box)")
    }
    do {
        let stored = try BinaryPropertyList.encode(specification)
        let read = try BinaryPropertyList.decode(EnsembleSpecification.self, from: stored)
        precondition(read == specification, "\(specification) became \(read)")
    } catch {
        preconditionFailure("\(specification) can't be stored: \(error)")
    }
}
