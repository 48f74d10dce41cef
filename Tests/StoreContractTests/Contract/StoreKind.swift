import Foundation
import SQLiteStore
import Sessions
import TestKit
import Testing

/// The stores that the contract is tested on.
enum StoreKind: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case memory
    case sqlite
    /// SQLite with hardly anything inline and short segments, so that every test goes through
    /// them and their rotation.
    case segments
    /// The same, with a segment of its own for everything that isn't tiny.
    case staged
    /// An event loop's thread commits what waits, as those of a server do.
    case eventLoop

    var testDescription: String { rawValue }

    var limits: SQLiteStoreLimits {
        var limits = SQLiteStoreLimits()
        if self == .segments || self == .staged {
            limits.inlineBytesMax = 2
            limits.segmentBytesMax = 64
        }
        if self == .staged { limits.stagedBytesMin = 20 }
        return limits
    }

    /// Gives `body` a fresh store; afterwards nothing on the disk may contradict anything else.
    func withStore(
        tracePointsMax: Int = Limits().tracePointsMax, kept: KeptPerSession = KeptPerSession(),
        _ body: (any InspectableStore) async throws -> Void
    ) async throws {
        switch self {
        case .memory:
            try await body(MemoryStore(tracePointsMax: tracePointsMax, keptPerSession: kept))
        case .sqlite, .segments, .staged, .eventLoop:
            var limits = limits
            limits.tracePointsMax = tracePointsMax
            limits.keptPerSession = kept
            try await withDirectory { [limits] directory in
                let store = try await SQLiteStore(directory: directory, limits: limits)
                let eventLoop = self == .eventLoop ? EventLoopThread(store) : nil
                defer { eventLoop?.end() }
                try await body(store)
                let isOpen = (try? await store.probe()) != nil
                if isOpen { #expect(try await store.inconsistencies() == []) }
                await store.close()
                if isOpen {
                    let found = try StoreVerifier.verify(InspectedStore(directory))
                    #expect(found.findings == [])
                }
            }
        }
    }
}

protocol InspectableStore: Store {
    func inventory() async throws(StoreError) -> StoreInventory
}
extension MemoryStore: InspectableStore {}
extension SQLiteStore: InspectableStore {}

extension EventLoopThread {
    convenience init(_ store: SQLiteStore) {
        self.init(
            woke: store.eventLoopWoke, drained: store.eventLoopDrained,
            willBlock: store.eventLoopWillBlock)
    }
}

/// A directory that is removed afterwards.
func withDirectory(_ body: (String) async throws -> Void) async throws {
    let directory = NSTemporaryDirectory() + "/store-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try await body(directory)
}

func expectError(
    _ expected: StoreError, sourceLocation: SourceLocation = #_sourceLocation,
    _ body: () async throws -> Void
) async {
    do {
        try await body()
        Issue.record("expected \(expected)", sourceLocation: sourceLocation)
    } catch {
        #expect(error as? StoreError == expected, sourceLocation: sourceLocation)
    }
}
