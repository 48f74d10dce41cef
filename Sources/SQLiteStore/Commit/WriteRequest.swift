import SessionModel
import Synchronization

/// A write that waits for the committer.
enum WriteRequest {
    case log(LogRequest)
    case transaction(any TransactionRequest)

    var bytes: Int {
        switch self {
        case .log(let request): request.record.count
        case .transaction(let request): request.bytes
        }
    }

    func fail(_ error: StoreError) {
        switch self {
        case .log(let request): request.finish(.failure(error))
        case .transaction(let request): request.fail(error)
        }
    }
}

/// An entry to be appended to the write-ahead log.
struct LogRequest: Sendable {
    let logged: LoggedEntry
    let record: [UInt8]
    let continuation: CheckedContinuation<Result<Void, StoreError>, Never>
    let arrivedAt = ContinuousClock.now

    func finish(_ result: Result<Void, StoreError>) { continuation.resume(returning: result) }
}

/// How the effects of one request are undone when it fails in a transaction that it shares.
enum UndoStrategy: Equatable {
    /// A savepoint before it is rolled back to.
    case savepoint
    /// The request throws errors of the store before it changes anything, so that there is nothing
    /// to undo and no savepoint is needed. The committer verifies that: if there was a change, the
    /// whole transaction is rolled back.
    case validatesBeforeWriting
}

/// A part of a transaction, whatever value it returns.
protocol TransactionRequest: AnyObject, Sendable {
    var bytes: Int { get }
    var undo: UndoStrategy { get }
    /// Whether it removes something, for which the reserve of space is given up.
    var isRemoval: Bool { get }
    var arrivedAt: ContinuousClock.Instant { get }
    /// Carries the request out. May be called again after the transaction was rolled back.
    func attempt(in transaction: inout WriteTransaction) throws
    /// Either this is called, once, after the commit of an attempt ...
    func succeed()
    /// ... or this, once, if there is none.
    func fail(_ error: StoreError)
}

/// A request that a caller of the store waits for.
final class CallerRequest<Value: Sendable>: TransactionRequest {
    let bytes: Int
    let undo: UndoStrategy
    let isRemoval: Bool
    let arrivedAt = ContinuousClock.now
    private let body: @Sendable (inout WriteTransaction) throws -> Value
    private let continuation: CheckedContinuation<Result<Value, StoreError>, Never>
    private let value = Mutex<Value?>(nil)

    init(
        bytes: Int, undo: UndoStrategy, isRemoval: Bool,
        body: @escaping @Sendable (inout WriteTransaction) throws -> Value,
        continuation: CheckedContinuation<Result<Value, StoreError>, Never>
    ) {
        self.bytes = bytes
        self.undo = undo
        self.isRemoval = isRemoval
        self.body = body
        self.continuation = continuation
    }

    func attempt(in transaction: inout WriteTransaction) throws {
        let result = try body(&transaction)
        value.withLock { $0 = result }
    }

    func succeed() {
        guard let value = value.withLock({ $0 }) else {
            preconditionFailure("a request succeeds only after its attempt")
        }
        continuation.resume(returning: .success(value))
    }

    func fail(_ error: StoreError) {
        continuation.resume(returning: .failure(error))
    }
}

/// A request of the committer itself, which no caller waits for.
final class InternalRequest: TransactionRequest {
    let bytes: Int
    let undo = UndoStrategy.savepoint
    let isRemoval = false
    let arrivedAt = ContinuousClock.now
    private let body: @Sendable (inout WriteTransaction) throws -> Void

    init(bytes: Int, _ body: @escaping @Sendable (inout WriteTransaction) throws -> Void) {
        self.bytes = bytes
        self.body = body
    }

    func attempt(in transaction: inout WriteTransaction) throws { try body(&transaction) }
    func succeed() {}
    func fail(_ error: StoreError) {}
}
