import Sessions
import Synchronization

/// A write in the committer's queue, whatever it returns.
protocol WaitingWrite: AnyObject, Sendable {
    var bytes: Int { get }
    /// Whether it looks before it writes: when it throws an error of the store's own, such as
    /// `.outOfOrder`, it has changed nothing.
    var looksFirst: Bool { get }
    /// May be called again after the transaction was rolled back.
    func attempt(in transaction: inout WriteTransaction) throws
    /// Exactly one of these two, once: after a commit that an attempt was part of ...
    func succeed()
    /// ... or when there won't be one.
    func fail(_ error: StoreError)
}

final class Write<Value: Sendable>: WaitingWrite {
    let bytes: Int
    let looksFirst: Bool
    private let body: @Sendable (inout WriteTransaction) throws -> Value
    private let continuation: CheckedContinuation<Result<Value, StoreError>, Never>
    private let value = Mutex<Value?>(nil)

    init(
        bytes: Int, looksFirst: Bool,
        body: @escaping @Sendable (inout WriteTransaction) throws -> Value,
        continuation: CheckedContinuation<Result<Value, StoreError>, Never>
    ) {
        self.bytes = bytes
        self.looksFirst = looksFirst
        self.body = body
        self.continuation = continuation
    }

    func attempt(in transaction: inout WriteTransaction) throws {
        let result = try body(&transaction)
        value.withLock { $0 = result }
    }

    func succeed() {
        guard let value = value.withLock({ $0 }) else {
            preconditionFailure("a write succeeds after its attempt")
        }
        continuation.resume(returning: .success(value))
    }

    func fail(_ error: StoreError) {
        continuation.resume(returning: .failure(error))
    }
}
