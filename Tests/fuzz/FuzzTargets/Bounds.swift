internal import Foundation
internal import LBFGS
internal import SessionModel
@testable import Sessions
@testable import Wire

/// A request for bounds in any form, of a session with named parameters: it is refused with a
/// field, or reads back as it was set and the session goes on within it.
///
///     form and dtype 1 | length of the body 2 | body | numbers
@Sendable func fuzzBounds(_ input: [UInt8]) {
    var input = FuzzInput(input)
    let choice = input.byte()
    let form: Representation = [.json, .npy, .safetensors, .octets][Int(choice & 3)]
    let dtype: DType = choice & 4 == 0 ? .float64 : .float32
    guard let request = boundsRequest(input.bytes(input.length()), as: form) else { return }
    do throws(SessionError) {
        var state = try session(dtype)
        let bounds = try state.bounds(request).made(as: dtype, .robust)
        guard let set = try? state.setBounds(bounds, at: Date(timeIntervalSince1970: 0)) else {
            return
        }
        checkReadBack(state, projected: set.projected)
        drive(&state, &input, check: checkFeasible)
    } catch {
        guard case .invalid(let errors) = error, errors.allSatisfy({ !$0.field.isEmpty }) else {
            preconditionFailure("bounds are refused with \(error)")
        }
    }
}

private func boundsRequest(_ body: [UInt8], as form: Representation) -> BoundsRequest? {
    if form == .json { return try? BoundsDocument(json: body).request }
    return (try? CollectedVector(body, as: form)).flatMap { $0 }.map(BoundsRequest.collected)
}

private func session(_ dtype: DType) throws(SessionError) -> SessionState {
    let layout = Layout(parameters: [
        ParameterSpec(name: "w", shape: [2, 1]), ParameterSpec(name: "b", shape: [1]),
    ])
    var options = Options()
    options.mode = .robust
    let bounds = try TensorBounds(tensors: [.init(bounds: BoundsInput(), count: 3, path: "")])
        .made(as: dtype, .robust)
    return try SessionState(
        dtype: dtype, layout: layout,
        values: dtype == .float64 ? .float64([1, -2, 0.5]) : .float32([1, -2, 0.5]),
        bounds: bounds, options: options, background: .shared)
}

/// What GET returns sets the same bounds.
private func checkReadBack(_ state: SessionState, projected: Int) {
    let view = BoundsView(
        specs: state.layout.parameters, dtype: state.dtype, count: state.layout.count,
        bounds: state.engine.sessionBounds.input,
        tag: EntityTag(sequence: 1, metadataVersion: 1))
    precondition(0...state.layout.count ~= projected, "\(projected) numbers were projected")
    guard let document = try? BoundsDocument(json: view.json),
        let again = try? state.bounds(document.request).made(as: state.dtype, .robust)
    else { preconditionFailure("\(String(decoding: view.json, as: UTF8.self)) is refused") }
    precondition(again == state.engine.sessionBounds, "\(view.bounds) became \(again)")
}

/// No point is asked for outside of the bounds.
private func checkFeasible(_ state: SessionState) {
    let bounds = state.engine.sessionBounds.input
    let lower = bounds.lower.filled(state.layout.count, missing: -.infinity)
    let upper = bounds.upper.filled(state.layout.count, missing: .infinity)
    let point = state.engine.trialVector.doubles
    precondition(
        point.indices.allSatisfy { lower[$0] <= point[$0] && point[$0] <= upper[$0] },
        "\(point) is outside of \(bounds)")
}
