import DiskLog
import Foundation
import SQLiteStore
import Sessions
import Synchronization
import TestKit
import Testing

/// Long payloads that are written while they arrive.
@Suite struct ArrivalTests {
    private let count = 300_001

    /// The staged segments, when `store` has removed what it is removing.
    private func files(_ directory: String, of store: SQLiteStore) throws -> [String] {
        store.waitForRemovals()
        return try FileManager.default.contentsOfDirectory(atPath: directory + "/segments")
            .filter { $0.hasSuffix(".vec") }.sorted()
    }

    private func append(_ bytes: [UInt8], to staging: any OctetsStaging, by piece: Int) {
        for start in stride(from: 0, to: bytes.count, by: piece) {
            // Sound: the buffer is used within the call.
            unsafe bytes[start..<min(start + piece, bytes.count)].withUnsafeBytes {
                unsafe staging.append($0)
            }
        }
    }

    private func arrived(
        _ bytes: [UInt8], in store: SQLiteStore, by piece: Int = 1000
    ) throws -> Result<Octets, StoreError> {
        let staging = try #require(store.staging(byteCount: bytes.count))
        append(bytes, to: staging, by: piece)
        staging.finish()
        return staging.take()
    }

    @Test(
        "What came in pieces is read back whole",
        arguments: [(300_001, 1), (262_144, 4096), (5_000_000, 65_537), (4_194_304, 5_000_000)])
    func whole(count: Int, piece: Int) async throws {
        try await withDirectory { directory in
            let payload = make(bytes: count, count)
            var store = try await SQLiteStore(directory: directory)
            try await store.create(1)
            let octets = try arrived(try payload.bytes(), in: store, by: piece).get()
            #expect(octets == payload)
            let entry = make(told: 1, at: 2, payload: octets)
            try await store.commit(batch(entry), to: make(session: 1))
            #expect(try files(directory, of: store).count == 1)
            await store.close()
            store = try await SQLiteStore(directory: directory)
            #expect(try await store.load(make(session: 1)).tail.first?.payload == payload)
            #expect(try await store.inconsistencies() == [])
            try await store.delete(make(session: 1))
            #expect(try files(directory, of: store) == [])
            await store.close()
        }
    }

    @Test("What nobody takes leaves nothing behind", arguments: [false, true])
    func abandoned(isFinished: Bool) async throws {
        try await withDirectory { directory in
            let store = try await SQLiteStore(directory: directory)
            do {
                let staging = try #require(store.staging(byteCount: count))
                append(try make(bytes: count / 2, 1).bytes(), to: staging, by: 4000)
                #expect(try files(directory, of: store).count == 1)
                if isFinished { staging.finish() }
            }
            #expect(try files(directory, of: store) == [])
            #expect(store.staging(byteCount: 100) == nil)
            await store.close()
        }
    }

    @Test("What is taken and named by no batch goes with the next start")
    func unnamed() async throws {
        try await withDirectory { directory in
            var store = try await SQLiteStore(directory: directory)
            try await store.create(1)
            _ = try arrived(try make(bytes: count, 1).bytes(), in: store).get()
            #expect(try files(directory, of: store).count == 1)
            await store.close()
            store = try await SQLiteStore(directory: directory)
            #expect(try files(directory, of: store) == [])
            #expect(try await store.load(make(session: 1)).tail == [])
            #expect(try await store.inconsistencies() == [])
            await store.close()
        }
    }

    @Test("A batch that is refused removes what was staged for it")
    func refused() async throws {
        try await withDirectory { directory in
            let store = try await SQLiteStore(directory: directory)
            try await store.create(1)
            let octets = try arrived(try make(bytes: count, 1).bytes(), in: store).get()
            await expectError(.outOfOrder(expected: 2, got: 7)) {
                let entry = make(told: 1, at: 7, payload: octets)
                try await store.commit(batch(entry), to: make(session: 1))
            }
            #expect(try files(directory, of: store) == [])
            await store.close()
        }
    }

    @Test("A full disk is told when it is taken, and leaves nothing behind")
    func full() async throws {
        try await withDirectory { directory in
            let isFull = Mutex(false)
            let store = try await SQLiteStore(
                directory: directory, limits: SQLiteStoreLimits(),
                faults: { $0 == .segmentWrite && isFull.withLock { $0 } ? ENOSPC : 0 },
                onFatal: { fatalError($0) })
            try await store.create(1)
            isFull.withLock { $0 = true }
            let bytes = try make(bytes: count, 1).bytes()
            guard case .failure(.full) = try arrived(bytes, in: store) else {
                Issue.record("it was taken")
                return
            }
            #expect(try files(directory, of: store) == [])
            isFull.withLock { $0 = false }
            let octets = try arrived(bytes, in: store).get()
            let entry = make(told: 1, at: 2, payload: octets)
            try await store.commit(batch(entry), to: make(session: 1))
            #expect(try await store.load(make(session: 1)).tail.first?.payload == Octets(bytes))
            await store.close()
        }
    }

    @Test("A sync that fails while bytes arrive ends the process")
    func syncFailed() async throws {
        await #expect(processExitsWith: .exitCode(70)) {
            let directory = NSTemporaryDirectory() + "/store-" + UUID().uuidString
            let store = try await SQLiteStore(
                directory: directory, limits: SQLiteStoreLimits(),
                faults: { $0 == .segmentSync ? EIO : 0 },
                onFatal: { reason in
                    try? FileManager.default.removeItem(atPath: directory)
                    exit(reason.contains("sync") ? 70 : 0)
                })
            store.staging(byteCount: 1 << 20)?.finish()
            exit(0)
        }
    }

    /// Sends gradients in pieces, as a server does, and reads the session back from the disk after
    /// each: its points, digests and journal equal those of a session that gets them whole.
    @Test("A session that is told in pieces is the session", arguments: [50_000, 400_000])
    func session(n: Int) async throws {
        try await withDirectory { directory in
            let store = try await SQLiteStore(directory: directory)
            var points: [[Vector]] = []
            for isStreamed in [false, true] {
                let service = SessionService(store: store)
                var request = CreateRequest(
                    parameters: [
                        ParameterInput(name: nil, shape: [n], values: .init(repeating: 1, count: n))
                    ])
                request.options.historySize = 3
                let id = try await service.create(request).value.record.id
                var turn = try await service.withSession(id) { try await $0.beginStep() }.value
                var seen: [Vector] = []
                while let number = turn.evaluation, seen.count < 6 {
                    seen.append(turn.x)
                    let slopes = turn.x.doubles.enumerated().map { Double(1 + $0 % 7) * $1 }
                    let loss = zip(slopes, turn.x.doubles).reduce(0) { $0 + $1.0 * $1.1 / 2 }
                    let bytes = Vector(slopes, as: .float64).bytes
                    let whole = TellRequest.evaluated(loss: loss, gradient: .octets(bytes))
                    let told =
                        isStreamed
                        ? try await streamed(bytes, loss, to: service, id, number) : whole
                    // Another service loads the session from the disk.
                    let next = SessionService(store: store)
                    turn = try await service.tell(id, evaluation: number, told).value
                    #expect(try await next.turn(id).x == turn.x)
                    #expect(try await next.tell(id, evaluation: number, whole).isReplay)
                    let other = TellRequest.evaluated(loss: loss + 1, gradient: .octets(bytes))
                    await #expect(throws: SessionError.alreadyTold(number)) {
                        try await next.tell(id, evaluation: number, other)
                    }
                }
                points.append(seen)
            }
            #expect(points[0].count == 6)
            #expect(points[0] == points[1])
            #expect(try await store.inconsistencies() == [])
            await store.close()
        }
    }

    private func streamed(
        _ bytes: [UInt8], _ loss: Double, to service: SessionService, _ id: SessionID,
        _ number: EvaluationNumber
    ) async throws -> TellRequest {
        let expected = try await service.withSession(id) {
            try await $0.expectedResult(of: number, bytes: bytes.count)
        }
        let vector = try service.arriving(
            expected, .octets(byteCount: bytes.count), loss: loss)
        for start in stride(from: 0, to: bytes.count, by: 65_000) {
            // Sound: the buffer is used within the call.
            let isTaken = unsafe bytes[start..<min(start + 65_000, bytes.count)].withUnsafeBytes {
                unsafe vector.append($0)
            }
            #expect(isTaken)
        }
        #expect(unsafe !bytes.prefix(1).withUnsafeBytes { unsafe vector.append($0) })
        return .evaluated(loss: loss, gradient: .received(try #require(await vector.take())))
    }
}
