import SessionModel
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

/// What waits in the committer's queue.
enum QueuedWrite {
    case logged(EntryWrite)
    case transacted(any WaitingWrite)

    var bytes: Int {
        switch self {
        case .logged(let write): write.record.count
        case .transacted(let write): write.bytes
        }
    }

    func fail(_ error: StoreError) {
        switch self {
        case .logged(let write): write.end(.failure(error))
        case .transacted(let write): write.fail(error)
        }
    }
}

/// An entry on its way into the entry log.
struct EntryWrite: Sendable {
    let logged: LoggedEntry
    let record: [UInt8]
    let continuation: CheckedContinuation<Result<Void, StoreError>, Never>

    func end(_ result: Result<Void, StoreError>) { continuation.resume(returning: result) }
}

/// A write of the committer's own: nobody waits for it.
final class OwnWrite: WaitingWrite {
    let bytes: Int
    let looksFirst = false
    private let body: @Sendable (inout WriteTransaction) throws -> Void

    init(bytes: Int, _ body: @escaping @Sendable (inout WriteTransaction) throws -> Void) {
        self.bytes = bytes
        self.body = body
    }

    func attempt(in transaction: inout WriteTransaction) throws { try body(&transaction) }
    func succeed() {}
    func fail(_ error: StoreError) {}
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
