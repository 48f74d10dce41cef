internal import Foundation
internal import LBFGS
internal import Parallel

/// Threads for work that would delay others. They keep the event loop and Swift's own threads free
/// for small sessions, whose responses take microseconds.
public final class BackgroundWork: Sendable {
    /// A session whose step reads so many numbers is heavy: its step takes a millisecond or more,
    /// many times what handing it to another thread takes.
    private static let heavyNumbersMin = 1 << 20
    /// Reading or writing a body of this length takes about as long.
    public static let bytesMin = 256 << 10

    /// For services that are given none. Its threads start with its first use.
    public static let shared = BackgroundWork()

    /// Heavy sessions share these executors: steps of sessions on one executor wait for each other,
    /// as they would for the memory bandwidth.
    private let executors: [BackgroundSerialExecutor]
    /// Two threads to a step, where there are two cores: more add little memory bandwidth.
    private let stepExecutor: BlockExecutor
    private let tasks = BackgroundTaskExecutor(threads: 2)
    /// Some of these wait for the disk.
    private let calls = BackgroundCallQueue(threads: 4)
    /// Half of the cores at most: bodies of any number and length leave the others free.
    private let parsers: BackgroundCallQueue

    /// Starts the threads. An instance lives as long as the process, as its executors must.
    /// - Parameter cores: nil: as many as the process has.
    public init(cores: Int? = nil) {
        let cores = cores ?? ProcessInfo.processInfo.activeProcessorCount
        executors = (0..<max(1, min(8, cores / 2))).map { _ in BackgroundSerialExecutor() }
        parsers = BackgroundCallQueue(threads: max(1, min(4, cores / 2)))
        if cores > 1 {
            let helpers = BackgroundHelperThreads(threads: executors.count)
            stepExecutor = BlockExecutor(width: 2) { count, body in
                helpers.forEachIndex(count, body)
            }
        } else {
            stepExecutor = .serial
        }
        // Never released: actors and tasks hold unowned references to the executors.
        _ = unsafe Unmanaged.passRetained(self)
    }

    /// Calls `body` on a background thread, and returns at once.
    func start(_ body: @escaping @Sendable () -> Void) { calls.call(body) }

    /// Calls `body`, which parses a part of a long body, on a background thread. Returns at once.
    public func parse(_ body: @escaping @Sendable () -> Void) { parsers.call(body) }

    /// Runs `body` on a background thread, and waits for it. Actors that it calls run where they
    /// otherwise run.
    public func run<Value: Sendable>(
        _ body: @concurrent @Sendable () async throws -> Value
    ) async rethrows -> Value {
        try await withTaskExecutorPreference(tasks) { try await body() }
    }

    /// The executor of a session with so many parameters and pairs; nil if it is not heavy.
    func executor(of id: SessionID, count: Int, historySize: Int) -> BackgroundSerialExecutor? {
        guard Self.isHeavy(count: count, historySize: historySize) else { return nil }
        let hash = UInt(bitPattern: id.hashValue)
        return executors[Int(hash % UInt(executors.count))]
    }

    /// The executor of the engine's passes over vectors. A light session's passes are over before
    /// another thread is awake.
    func stepExecutor(count: Int, historySize: Int) -> BlockExecutor {
        Self.isHeavy(count: count, historySize: historySize) ? stepExecutor : .serial
    }

    private static func isHeavy(count: Int, historySize: Int) -> Bool {
        // Two matrices of the pairs' products are read too. Beyond this size they alone are enough.
        guard historySize < heavyNumbersMin else { return true }
        let matrices = 2 * historySize * historySize
        return matrices >= heavyNumbersMin
            || matrices + numbersRead(count: count, historySize: historySize) >= heavyNumbersMin
    }

    /// Numbers that a step reads: the pairs, and some vectors more. Saturates.
    private static func numbersRead(count: Int, historySize: Int) -> Int {
        let (pairs, overflow) = historySize.multipliedReportingOverflow(by: 2 * count)
        return overflow ? .max / 2 : pairs + 10 * count
    }

    /// Whether replaying so many evaluations takes some tens of milliseconds, so that a snapshot
    /// should spare it. A snapshot writes the pairs that are new and still in the history, and O(n)
    /// besides: too much for every few evaluations of a small session.
    static func isLongReplay(_ evaluations: Int, count: Int, historySize: Int) -> Bool {
        let (numbers, overflow) = numbersRead(count: count, historySize: historySize)
            .multipliedReportingOverflow(by: evaluations)
        return evaluations >= 64 && (overflow || numbers >= 16 * heavyNumbersMin)
    }
}
