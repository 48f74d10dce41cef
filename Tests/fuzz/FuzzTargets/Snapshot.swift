internal import Foundation
internal import LBFGS
internal import SessionModel
@testable import Sessions

/// A snapshot whose scalars are any property list and whose vectors are any numbers: it is refused,
/// or the session goes on from it.
///
///     flags 2 | length of the scalars 2 | scalars | numbers
///
/// Each bit of the flags leaves a vector out.
@Sendable func fuzzSnapshot(_ input: [UInt8]) {
    var input = FuzzInput(input)
    let absent = input.length()
    let scalars = input.bytes(input.length())
    guard
        let stored = try? BinaryPropertyList.decode(StoredScalars.self, from: scalars),
        1...8 ~= stored.session.layout.count
    else { return }
    let count = stored.session.layout.count
    let dtype: DType =
        switch stored.engine {
        case .float64: .float64
        case .float32: .float32
        }
    var vectors: [VectorName: StoredSnapshot.StoredVector] = [:]
    let names = [
        "x", "g", "d", "previous_g", "best", "best_g", "trial/1", "trial/2", "trial/3",
    ]
    var next = VectorID(1)
    func add(_ name: VectorName, _ count: Int) {
        let numbers = (0..<count).map { _ in input.double() }
        let vector: Vector =
            dtype == .float64 ? .float64(numbers) : .float32(numbers.map(Float.init))
        vectors[name] = .init(id: next, octets: .vector(vector))
        next += 1
    }
    for (bit, name) in names.enumerated() where absent & (1 << bit) == 0 { add(name, count) }
    for pair in 0..<3 where absent & (1 << (names.count + pair)) == 0 {
        add("pair/\(pair)", 2 * count)
    }
    let snapshot = StoredSnapshot(
        sequence: stored.session.sequence, formatVersion: StateCodec.formatVersion,
        numericsVersion: 3, scalars: scalars, vectors: vectors)
    guard var state = try? StateCodec.state(from: snapshot, dtype: dtype, .shared) else { return }
    _ = StateCodec.draft(of: state)
    drive(&state, &input)
    _ = StateCodec.draft(of: state)
}

/// Begins a step if none runs, and answers up to eight evaluations with what the input says.
/// - Parameter check: Looks at the state before each answer.
func drive(
    _ state: inout SessionState, _ input: inout FuzzInput,
    check: (SessionState) -> Void = { _ in }
) {
    let (count, dtype) = (state.layout.count, state.dtype)
    let time = Date(timeIntervalSince1970: 0)
    if state.phase == .idle { _ = state.beginStep(StepRequest(), at: time) }
    for _ in 0..<8 where state.phase == .evaluating && state.shards.count == nil && !input.isEmpty {
        check(state)
        let loss = input.double()
        let numbers = (0..<count).map { _ in input.double() }
        guard loss.isFinite, numbers.allSatisfy(\.isFinite) else {
            _ = state.tell(.failed(reason: ""), at: time)
            continue
        }
        let gradient: Vector =
            dtype == .float64 ? .float64(numbers) : .float32(numbers.map(Float.init))
        _ = state.tell(.evaluated(loss: loss, gradient: gradient), at: time)
    }
}
