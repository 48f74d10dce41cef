internal import Foundation
internal import LBFGS
internal import Parallel

/// Where work is done that would hold up others: on a few threads of its own, so that those that
/// serve are free for small sessions, whose answers take microseconds.
public enum HeavyWork {
    /// A session whose step reads so many numbers is heavy: a step then takes about a millisecond
    /// or more, many times what handing it to another thread does.
    private static let numbersMin = 1 << 20
    /// Bodies so long take about as much to be read.
    public static let bytesMin = 256 << 10

    private static let cores = ProcessInfo.processInfo.activeProcessorCount

    /// Heavy sessions share them: the steps of those in one lane wait for each other, as they would
    /// for the memory that they read.
    private static let lanes = (0..<max(1, min(8, cores / 2))).map { _ in BackgroundLane() }

    /// Two threads to a step, where there are two cores: more move little more memory.
    private static let executor: BlockExecutor = {
        guard cores > 1 else { return .serial }
        let helpers = BackgroundHelpers(threads: lanes.count)
        return BlockExecutor(width: 2) { count, body in helpers.forEachIndex(count, body) }
    }()

    private static let tasks = BackgroundTasks(threads: 2)

    /// Some of them wait for the disk.
    private static let calls = BackgroundCalls(threads: 4)

    /// Calls `body` on a thread of its own, for work that others wait for later.
    static func ahead(_ body: @escaping @Sendable () -> Void) { calls.call(body) }

    /// What a step reads: the pairs, and some vectors more.
    private static func numbersRead(count: Int, historySize: Int) -> Int {
        let (pairs, overflow) = historySize.multipliedReportingOverflow(by: 2 * count)
        return overflow ? .max / 2 : pairs + 10 * count
    }

    private static func isHeavy(count: Int, historySize: Int) -> Bool {
        numbersRead(count: count, historySize: historySize) >= numbersMin
    }

    /// Whether replaying so many evaluations takes so long, some tens of milliseconds, that a
    /// snapshot should spare it. A snapshot writes the pairs that are new and still in the history,
    /// and O(n) besides: too much to be done for every few evaluations of a small session.
    static func isLongReplay(_ evaluations: Int, count: Int, historySize: Int) -> Bool {
        let (numbers, overflow) = numbersRead(count: count, historySize: historySize)
            .multipliedReportingOverflow(by: evaluations)
        return evaluations >= 64 && (overflow || numbers >= 16 * numbersMin)
    }

    /// For a session with so many parameters and pairs; nil if it is not heavy.
    static func lane(_ id: SessionID, count: Int, historySize: Int) -> BackgroundLane? {
        guard isHeavy(count: count, historySize: historySize) else { return nil }
        let hash = UInt(bitPattern: id.hashValue)
        return lanes[Int(hash % UInt(lanes.count))]
    }

    /// For the engine of such a session. A light one's passes are over before a thread is awake.
    static func executor(count: Int, historySize: Int) -> BlockExecutor {
        isHeavy(count: count, historySize: historySize) ? executor : .serial
    }

    /// Runs `body` aside from the threads that serve. Actors that it calls run where they run.
    public static func aside<Value: Sendable>(
        _ body: @concurrent @Sendable () async throws -> Value
    ) async rethrows -> Value {
        try await withTaskExecutorPreference(tasks) { try await body() }
    }
}
