import Foundation
import SQLiteStore
import Sessions
import Testing

/// What is kept of a session's history, how much space it takes, and that the space is freed.
extension StoreContract {
    @Test(
        "Entries that nothing replays stay for their trace only",
        arguments: StoreKind.allCases)
    func untraced(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            try await store.create(1)
            try await store.commit(
                batch(make(entry: 2, .stepBegun), make(told: 1, at: 3), make(entry: 4, .stopped)),
                to: id)
            try await store.commit(batch { $0.checkpoint = make(checkpoint: 1, at: 4) }, to: id)
            #expect(try await store.inventory().entries == 4)
            try await store.commit(
                batch(make(entry: 5, .stepBegun), make(entry: 6, .optionsChanged)) {
                    $0.snapshot = make(snapshot: 6)
                }, to: id)
            // 2 to 4 are the checkpoint's, 6 is the newest.
            #expect(try await store.inventory().entries == 4)
            #expect(try await store.load(id, checkpoint: 1).tail.map(\.sequence) == [2, 3, 4])
            #expect(try await store.load(id).newest.sequence == 6)
            try await store.commit(batch { $0.removedCheckpoint = 1 }, to: id)
            #expect(try await store.inventory().entries == 2)
            #expect(try await store.trace(id, from: 1, limit: 9).map(\.evaluation) == [1])
            try await store.commit(
                batch(make(told: 2, at: 7)) { $0.snapshot = make(snapshot: 7) }, to: id)
            #expect(try await store.inventory().entries == 2)
        }
    }

    @Test(
        "Of a session's idempotency keys the newest are kept, whatever they are of",
        arguments: StoreKind.allCases)
    func keys(_ kind: StoreKind) async throws {
        try await kind.withStore(kept: KeptPerSession(idempotencyKeysMax: 100, deliveriesMax: 9)) {
            store in
            try await store.create(1)
            try await store.create(2)
            let (id, other) = (make(session: 1), make(session: 2))
            try await store.commit(
                batch {
                    $0.idempotency = make(idempotency: "k", scope: "\(other)/steps", age: 999)
                },
                to: other)
            for number in 0..<400 {
                let scope = "\(id)/\(number.isMultiple(of: 2) ? "steps" : "checkpoints")"
                try await store.commit(
                    batch {
                        $0.idempotency = make(
                            idempotency: "k\(number)", scope: scope, age: 400 - number)
                    }, to: id)
            }
            var known = 0
            for number in 0..<400 {
                let scope = "\(id)/\(number.isMultiple(of: 2) ? "steps" : "checkpoints")"
                let found = try await store.idempotencyRecord(scope: scope, key: "k\(number)")
                if found != nil { known += 1 }
                if number >= 300 { #expect(found != nil) }
            }
            #expect((100...164).contains(known))
            let others = try await store.idempotencyRecord(scope: "\(other)/steps", key: "k")
            #expect(others != nil)
        }
    }

    @Test(
        "A long trace is thinned out where it is old, and never where a checkpoint needs it",
        arguments: StoreKind.allCases)
    func thinned(_ kind: StoreKind) async throws {
        try await kind.withStore(tracePointsMax: 40) { store in
            let id = make(session: 1)
            try await store.create(1)
            for told in 1...400 {
                try await store.commit(
                    batch(make(told: told, at: told + 1)) {
                        $0.step = make(step: told)
                        if told.isMultiple(of: 10) { $0.snapshot = make(snapshot: told + 1) }
                        if told == 205 { $0.checkpoint = make(checkpoint: 1, at: 206) }
                    }, to: id)
                let count = try await store.trace(id, from: 1, limit: 1000).count
                #expect(count <= 40 + 9 + 5, "told \(told)")
            }
            let kept = try await store.trace(id, from: 1, limit: 1000).map(\.evaluation)
            #expect(kept.first == 1 && kept == kept.sorted())
            #expect(kept.suffix(20) == Array(381...400)[...])
            // Of the two halves the newer one is denser.
            #expect(kept.count { $0 > 300 } > kept.count { $0 <= 200 })
            // Pages continue across deleted entries, which can't be found any more.
            let page = try await store.trace(id, from: 1, limit: 7)
            let next = try await store.trace(id, from: page[6].evaluation + 1, limit: 7)
            #expect(page.map(\.evaluation) + next.map(\.evaluation) == Array(kept.prefix(14)))
            let gone = try #require((1...400).first { !kept.contains($0) })
            #expect(try await store.toldEntry(id, evaluation: gone) == nil)
            #expect(try await store.toldEntry(id, evaluation: 400) != nil)
            #expect(
                try await store.load(id, checkpoint: 1).tail.map(\.trace?.evaluation)
                    == [201, 202, 203, 204, 205])
            #expect(try await store.step(id, number: 360) == nil)
            #expect(try await store.step(id, number: 361) == make(step: 361))
        }
    }

    @Test("What is left of a trace is the same in every store")
    func thinnedAlike() async throws {
        var left: [[EvaluationNumber]] = []
        for kind in StoreKind.allCases {
            try await kind.withStore(tracePointsMax: 25) { store in
                try await store.create(1)
                for told in 1...300 {
                    try await store.commit(
                        batch(make(told: told, at: told + 1)) {
                            if told % 7 == 0 { $0.snapshot = make(snapshot: told + 1) }
                            if told % 50 == 0 {
                                $0.checkpoint = make(checkpoint: told / 50, at: told + 1)
                            }
                        }, to: make(session: 1))
                }
                left.append(
                    try await store.trace(make(session: 1), from: 1, limit: 999).map(\.evaluation))
            }
        }
        #expect(left[0] == left[1] && left[1] == left[2])
        #expect(left[0].count < 80)
    }

    /// Snapshots that close long stretches, which the database keeps as batches of traces;
    /// stretches with a checkpoint in them; entries without a trace; snapshots with an entry and
    /// without.
    @Test("Long stretches between snapshots read the same in every store")
    func stretches() async throws {
        let losses: [Double?] = [
            1.5, nil, -0.0, .infinity, .nan, -.leastNonzeroMagnitude, 1e300, 0, -1,
        ]
        var found: [[String]] = []
        for kind in StoreKind.allCases {
            try await kind.withStore(tracePointsMax: 300) { store in
                let id = make(session: 1)
                try await store.create(1)
                var lines: [String] = []
                var sequence = 1
                for told in 1...900 {
                    if told % 17 == 0 {
                        sequence += 1
                        var untraced = make(entry: sequence, .optionsChanged)
                        untraced.status.evaluation = told
                        try await store.commit(batch(untraced), to: id)
                    }
                    sequence += 1
                    let hasSnapshot = told % 150 == 0
                    try await store.commit(
                        batch(
                            make(
                                told: told, at: sequence, loss: losses[told % losses.count],
                                payload: make(bytes: 200, told))
                        ) {
                            if hasSnapshot { $0.snapshot = make(snapshot: sequence) }
                            if told == 200 || told == 640 {
                                $0.checkpoint = make(checkpoint: told, at: sequence)
                            }
                        }, to: id)
                    if told % 200 == 190 {
                        try await store.commit(
                            batch { $0.snapshot = make(snapshot: sequence) }, to: id)
                    }
                    guard told % 90 == 0 else { continue }
                    let inventory = try await store.inventory()
                    lines.append("\(told): \(inventory.entries) \(inventory.payloads)")
                    for first in stride(from: 1, through: told, by: 37) {
                        let page = try await store.trace(id, from: first, limit: 29)
                        let entry = try await store.toldEntry(id, evaluation: first)
                        lines.append("\(told), \(first): \(page) \(String(describing: entry))")
                    }
                }
                for number in [200, 640] {
                    let tail = try await store.load(id, checkpoint: number).tail
                    lines.append("\(number): \(tail.map(\.sequence))")
                    #expect(try tail.last?.payload.bytes() == make(bytes: 200, number).bytes())
                }
                lines.append("\(try await store.load(id).newest)")
                found.append(lines)
                try await store.delete(id)
                #expect(try await store.inventory().entries == 0)
            }
        }
        for other in found.dropFirst() {
            for (line, expected) in zip(other, found[0]) where line != expected {
                Issue.record("\(line) differs from \(expected)")
                break
            }
            #expect(other.count == found[0].count)
        }
    }

    @Test("The room that a session takes is bounded, and told", arguments: StoreKind.allCases)
    func diskBytes(_ kind: StoreKind) async throws {
        try await kind.withStore(tracePointsMax: 40) { store in
            let id = make(session: 1)
            await expectError(.missing) { _ = try await store.diskBytes(id) }
            let vectors = try await store.create(1, [("x", .new(make(bytes: 5000, 1)))])
            let first = try await store.diskBytes(id)
            #expect(first >= 5000 && first < 8000)
            let x = try #require(vectors["x"])
            try await store.create(2, [("x", .stored(x))])
            #expect(try await store.diskBytes(make(session: 2)) == first)
            try await store.commit(
                batch(make(told: 1, at: 2, payload: make(bytes: 3000, 2))), to: id)
            #expect(try await store.diskBytes(id) >= first + 3000)
            var most = 0
            for told in 2...600 {
                try await store.commit(
                    batch(make(told: told, at: told + 1)) {
                        $0.step = make(step: told)
                        if told % 8 == 0 {
                            $0.snapshot = make(
                                snapshot: told + 1, [("x", .new(make(bytes: 5000, told)))])
                        }
                    }, to: id)
                if told == 200 { most = try await store.diskBytes(id) }
            }
            #expect(try await store.diskBytes(id) <= most)
        }
    }
}

@Suite struct ReclamationTests {
    @Test("Blocks of dead bytes are given back while others of their segment live")
    func holes() async throws {
        try await withDirectory { directory in
            var store = try await SQLiteStore(directory: directory)
            let bytes = make(bytes: 300_001, 1)
            for number in 1...8 { try await store.create(number, [("x", .new(bytes))]) }
            let segment = directory + "/segments/000001.seg"
            let full = try allocated(segment)
            #expect(full > 8 * 300_000)
            for number in [2, 3, 4, 6, 8] { try await store.delete(make(session: number)) }
            await store.close()
            #expect(try allocated(segment) < full / 2)
            store = try await SQLiteStore(directory: directory)
            #expect(try await store.inconsistencies() == [])
            for number in [1, 5, 7] {
                let loaded = try await store.load(make(session: number))
                #expect(loaded.snapshot.vectors["x"]?.octets == bytes)
            }
            for number in [1, 5, 7] { try await store.delete(make(session: number)) }
            await store.close()
            store = try await SQLiteStore(directory: directory)
            #expect(try await store.inventory().segmentFiles == 0)
            #expect(try await store.inconsistencies() == [])
            await store.close()
        }
    }

    @Test("Who reads while vectors are collected gets whole ones")
    func readsAside() async throws {
        try await withDirectory { directory in
            let store = try await SQLiteStore(directory: directory)
            let id = make(session: 1)
            try await store.create(2, [("x", .new(make(bytes: 100_000, 0)))])
            try await store.create(1, [("x", .new(make(bytes: 100_000, 1)))])
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    for sequence in 2...150 {
                        try await store.commit(
                            batch(make(told: sequence - 1, at: sequence)) {
                                $0.snapshot = make(
                                    snapshot: sequence,
                                    [("x", .new(make(bytes: 100_000, sequence)))])
                            }, to: id)
                    }
                }
                for _ in 1...3 {
                    group.addTask {
                        for _ in 1...200 {
                            let loaded = try await store.load(id)
                            let x = loaded.snapshot.vectors["x"]?.octets
                            #expect(x == make(bytes: 100_000, loaded.snapshot.sequence))
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await store.inconsistencies() == [])
            await store.close()
        }
    }

    @Test("The database gets shorter when sessions are deleted, while others are written")
    func shorter() async throws {
        try await withDirectory { directory in
            var limits = SQLiteStoreLimits()
            limits.walPagesBeforeCheckpoint = 200
            let store = try await SQLiteStore(directory: directory, limits: limits)
            for number in 1...800 {
                try await store.create(number, [("x", .new(make(bytes: 12_000, number)))])
            }
            try await store.probe()
            let path = directory + "/lbfgsd.sqlite"
            for number in 2...800 { try await store.delete(make(session: number)) }
            for sequence in 2...100 {
                try await store.commit(
                    batch(make(told: sequence - 1, at: sequence)), to: make(session: 1))
            }
            var size = Int.max
            for _ in 1...100 where size > 3 << 20 {
                try await Task.sleep(for: .milliseconds(50))
                try await store.probe()
                for _ in 1...50 { try await store.probe() }
                size = try #require(FileManager.default.contents(atPath: path)?.count)
            }
            #expect(size <= 3 << 20)
            #expect(try await store.inconsistencies() == [])
            #expect(try await store.load(make(session: 1)).tail.count == 99)
            await store.close()
        }
    }

    @Test("Compaction leaves what lives and nothing else")
    func compacted() async throws {
        try await withDirectory { directory in
            var limits = SQLiteStoreLimits()
            limits.segmentBytesMax = 1 << 20
            var store = try await SQLiteStore(directory: directory, limits: limits)
            for number in 1...12 {
                try await store.create(number, [("x", .new(make(bytes: 400_000, number)))])
            }
            for number in 100...400 {
                try await store.create(number, [("x", .new(make(bytes: 9000, number)))])
            }
            for told in 1...100 {
                try await store.commit(batch(make(told: told, at: told + 1)), to: make(session: 1))
            }
            try await store.commit(
                batch { $0.snapshot = make(snapshot: 101) }, to: make(session: 1))
            for number in 2...12 where number != 7 {
                try await store.delete(make(session: number))
            }
            for number in 100...399 { try await store.delete(make(session: number)) }
            await store.close()
            limits.tracePointsMax = 30
            let report = try await SQLiteStore.compact(
                directory: directory, limits: limits, horizon: make(time: 0))
            #expect(report.damaged == [])
            #expect(report.bytesAfter < report.bytesBefore)
            #expect(report.bytesAfter < 400_000 + 9000 + (1 << 18))
            store = try await SQLiteStore(directory: directory, limits: limits)
            #expect(try await store.inconsistencies() == [])
            #expect(try await store.inventory().segmentFiles == 1)
            #expect(try await store.trace(make(session: 1), from: 1, limit: 999).count <= 30)
            let loaded = try await store.load(make(session: 7))
            #expect(loaded.snapshot.vectors["x"]?.octets == make(bytes: 400_000, 7))
            _ = try await store.load(make(session: 400))
            // And it goes on.
            try await store.create(2, [("x", .new(make(bytes: 400_000, 2)))])
            #expect(try await store.inconsistencies() == [])
            await store.close()
        }
    }

    @Test("Compaction refuses what isn't a store, and one that is open")
    func refused() async throws {
        try await withDirectory { directory in
            await expectError(.failed("there is no store in \(directory)")) {
                _ = try await SQLiteStore.compact(directory: directory, horizon: make(time: 0))
            }
            #expect(!FileManager.default.fileExists(atPath: directory))
            let store = try await SQLiteStore(directory: directory)
            try await store.create(1)
            await expectError(.inUse("the store in \(directory) is in use by another process")) {
                _ = try await SQLiteStore.compact(directory: directory, horizon: make(time: 0))
            }
            _ = try await store.load(make(session: 1))
            await store.close()
        }
    }

    @Test("Compaction leaves a damaged vector where it is, and says so")
    func damaged() async throws {
        try await withDirectory { directory in
            var store = try await SQLiteStore(directory: directory)
            for number in 1...3 {
                try await store.create(number, [("x", .new(make(bytes: 100_000, number)))])
            }
            try await store.delete(make(session: 2))
            await store.close()
            let segment = URL(fileURLWithPath: directory + "/segments/000001.seg")
            var bytes = try Data(contentsOf: segment)
            bytes[50] ^= 1
            try bytes.write(to: segment)
            let report = try await SQLiteStore.compact(directory: directory, horizon: make(time: 0))
            #expect(report.damaged.count == 1)
            store = try await SQLiteStore(directory: directory)
            let loaded = try await store.load(make(session: 3))
            #expect(loaded.snapshot.vectors["x"]?.octets == make(bytes: 100_000, 3))
            await #expect(throws: StoreError.self) { _ = try await store.load(make(session: 1)) }
            await store.close()
        }
    }
}

private func allocated(_ path: String) throws -> Int {
    let values = try URL(fileURLWithPath: path).resourceValues(forKeys: [.fileSizeKey])
    let size = try #require(values.fileSize)
    // By du: Foundation doesn't report blocks on Linux.
    let du = Process()
    let pipe = Pipe()
    du.executableURL = URL(fileURLWithPath: "/usr/bin/du")
    du.arguments = ["--block-size=1", path]
    du.standardOutput = pipe
    try du.run()
    du.waitUntilExit()
    let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    return min(size + 4096, try #require(Int(text.prefix { $0.isNumber })))
}
