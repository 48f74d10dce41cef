import Foundation
import Sessions
import Testing

/// Listings, traces, steps and idempotency keys.
extension StoreContract {
    @Test("A listing shows the newest sessions first, page by page", arguments: StoreKind.allCases)
    func listed(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            for number in 1...7 {
                try await store.create(number, labels: ["parity": "\(number % 2)", "n": "x"])
            }
            try await store.commit(batch(make(told: 1, at: 2, loss: -3)), to: make(session: 7))
            try await store.delete(make(session: 5))
            var numbers: [SessionID] = []
            var sizes: [Int] = []
            var token: PageToken?
            repeat {
                let page = try await store.list(pageSize: 3, after: token, label: nil)
                numbers += page.items.map(\.record.id)
                sizes.append(page.items.count)
                token = page.next
            } while token != nil
            #expect(numbers == [7, 6, 4, 3, 2, 1].map(make(session:)))
            #expect(sizes == [3, 3])
            let newest = try await store.list(pageSize: 1, after: nil, label: nil).items[0]
            #expect(newest == (try await store.summary(make(session: 7))))
            #expect(newest.status == make(told: 1, at: 2, loss: -3).status)
            #expect(newest.sequence == 2 && newest.updatedAt == make(time: 2))

            let odd = try await store.list(pageSize: 2, after: nil, label: ("parity", "1"))
            #expect(odd.items.map(\.record.id) == [7, 3].map(make(session:)))
            let rest = try await store.list(pageSize: 2, after: odd.next, label: ("parity", "1"))
            #expect(rest.items.map(\.record.id) == [make(session: 1)])
            #expect(rest.next == nil)
            let none = try await store.list(pageSize: 2, after: nil, label: ("parity", "2"))
            #expect(none.items.isEmpty && none.next == nil)
        }
    }

    @Test("Sessions are found by their name", arguments: StoreKind.allCases)
    func names(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            for number in 1...6 {
                var record = make(
                    record: make(session: number), labels: ["third": "\(number % 3)"])
                record.name = number == 5 ? nil : number.isMultiple(of: 2) ? "even" : "odd"
                record.tenant = number > 4 ? "late" : "early"
                _ = try await store.create(
                    record, entry: make(entry: 1),
                    snapshot: make(snapshot: 1, [("x", .new([1, 2]))]), idempotency: nil)
            }
            func found(_ filter: SessionFilter, after: PageToken? = nil) async throws
                -> (numbers: [SessionID], next: PageToken?)
            {
                let page = try await store.list(pageSize: 2, after: after, matching: filter)
                return (page.items.map(\.record.id), page.next)
            }
            let even = SessionFilter(name: "even")
            let first = try await found(even)
            #expect(first.numbers == [6, 4].map(make(session:)))
            let rest = try await found(even, after: first.next)
            #expect(rest.numbers == [make(session: 2)] && rest.next == nil)
            let early = try await found(SessionFilter(name: "even", tenant: "early"))
            #expect(early.numbers == [4, 2].map(make(session:)) && early.next == nil)
            let both = try await found(SessionFilter(label: ("third", "0"), name: "odd"))
            #expect(both.numbers == [make(session: 3)])
            #expect(try await found(SessionFilter(name: "Even")).numbers.isEmpty)
        }
    }

    @Test("A tenant's sessions are listed and counted by themselves", arguments: StoreKind.allCases)
    func tenants(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            for number in 1...6 {
                var record = make(record: make(session: number), labels: ["n": "x"])
                record.tenant = number.isMultiple(of: 2) ? "even" : "odd"
                _ = try await store.create(
                    record, entry: make(entry: 1),
                    snapshot: make(snapshot: 1, [("x", .new([1, 2]))]), idempotency: nil)
            }
            try await store.delete(make(session: 4))
            for label in [nil, ("n", "x")] as [(key: String, value: String)?] {
                let first = try await store.list(
                    pageSize: 2, after: nil, matching: SessionFilter(label: label, tenant: "odd"))
                #expect(first.items.map(\.record.id) == [5, 3].map(make(session:)))
                #expect(first.items.allSatisfy { $0.record.tenant == "odd" })
                let rest = try await store.list(
                    pageSize: 2, after: first.next,
                    matching: SessionFilter(label: label, tenant: "odd"))
                #expect(rest.items.map(\.record.id) == [make(session: 1)] && rest.next == nil)
                let none = try await store.list(
                    pageSize: 2, after: nil, matching: SessionFilter(label: label, tenant: "none"))
                #expect(none.items.isEmpty && none.next == nil)
            }
            #expect(try await store.sessionCount(of: "odd") == 3)
            #expect(try await store.sessionCount(of: "even") == 2)
            #expect(
                Set(try await store.sessions(of: "even")) == Set([2, 6].map(make(session:))))
            #expect(try await store.secret() == (try await store.secret()))
            #expect(try await store.secret().count >= 16)
        }
    }

    @Test("A page token holds while sessions come and go", arguments: StoreKind.allCases)
    func tokens(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            for number in 1...4 { try await store.create(number) }
            let page = try await store.list(pageSize: 2, after: nil, label: nil)
            try await store.create(5)
            try await store.delete(make(session: 3))
            try await store.delete(make(session: 2))
            let next = try await store.list(pageSize: 2, after: page.next, label: nil)
            #expect(next.items.map(\.record.id) == [make(session: 1)])
        }
    }

    @Test(
        "Name and labels can change, and the label filter with them",
        arguments: StoreKind.allCases)
    func metadata(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            try await store.create(1, labels: ["a": "1", "b": "2"])
            try await store.commit(
                batch {
                    $0.metadata = SessionMetadata(
                        name: "named", labels: ["b": "3"], version: 2)
                }, to: id)
            let record = try await store.load(id).record
            #expect(record.name == "named" && record.labels == ["b": "3"])
            #expect(record.metadataVersion == 2)
            for (key, value, count) in [("a", "1", 0), ("b", "2", 0), ("b", "3", 1)] {
                let page = try await store.list(pageSize: 9, after: nil, label: (key, value))
                #expect(page.items.count == count, "\(key)=\(value)")
            }
        }
    }

    @Test("Checkpoints are listed newest first, page by page", arguments: StoreKind.allCases)
    func checkpointPages(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            try await store.create(1)
            for number in 1...5 {
                try await store.commit(
                    batch { $0.checkpoint = make(checkpoint: number, at: 1, name: "c\(number)") },
                    to: id)
            }
            try await store.commit(batch { $0.removedCheckpoint = 4 }, to: id)
            let first = try await store.checkpoints(id, pageSize: 3, after: nil)
            #expect(first.items == [5, 3, 2].map { make(checkpoint: $0, at: 1, name: "c\($0)") })
            let second = try await store.checkpoints(id, pageSize: 3, after: first.next)
            #expect(second.items.map(\.number) == [1] && second.next == nil)
            #expect(try await store.load(id).nextCheckpoint == 6)
        }
    }

    @Test(
        "The trace comes in order of evaluation, and outlives payloads",
        arguments: StoreKind.allCases)
    func traced(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            try await store.create(1)
            let losses: [Double?] = [4, nil, .nan, -.infinity, -0.0]
            for (index, loss) in losses.enumerated() {
                try await store.commit(
                    batch(make(told: 2 * index + 1, at: index + 2, loss: loss)), to: id)
            }
            try await store.commit(batch { $0.snapshot = make(snapshot: 6) }, to: id)
            let all = try await store.trace(id, from: 0, limit: 100)
            #expect(all.map(\.evaluation) == [1, 3, 5, 7, 9])
            #expect(all.map { $0.loss?.bitPattern } == losses.map { $0?.bitPattern })
            let some = try await store.trace(id, from: 4, limit: 2)
            #expect(some.map(\.evaluation) == [5, 7])
            #expect(some[1] == make(told: 7, at: 5, loss: -.infinity).trace)
            #expect(try await store.trace(id, from: 10, limit: 2) == [])

            var told = make(told: 3, at: 3, loss: nil)
            told.payload = []
            #expect(try await store.toldEntry(id, evaluation: 3) == told)
            #expect(try await store.toldEntry(id, evaluation: 4) == nil)
            #expect(try await store.summary(id).status.loss?.bitPattern == (-0.0).bitPattern)
        }
    }

    @Test(
        "What an entry says for lists and line searches comes back, and stays in the trace",
        arguments: StoreKind.allCases)
    func details(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            try await store.create(1)
            #expect(try await store.summary(id).progress == nil)
            let searches: [SearchTrace?] = [
                nil, SearchTrace(acceptedStepLength: 0),
                SearchTrace(slope: -0.0, startLoss: .infinity, startSlope: -3),
                SearchTrace(slope: .pi, startLoss: -1, startSlope: -1e300, acceptedStepLength: 2),
            ]
            for number in 1...40 {
                var told = make(told: number, at: number + 1)
                told.trace?.search = searches[number % 4]
                told.progress = SessionProgress(
                    best: number > 3 ? BestEvaluation(loss: -1.5, evaluation: 3) : nil,
                    mode: number.isMultiple(of: 2) ? .torch : .robust,
                    gradientNormInf: number > 5 ? 0.25 : nil)
                try await store.commit(batch(told), to: id)
                #expect(try await store.summary(id).progress == told.progress)
            }
            #expect(try await store.load(id).tail.last?.progress?.best?.evaluation == 3)
            for isCollected in [false, true] {
                if isCollected {
                    let scalars: [UInt8] = [4, 5]
                    try await store.commit(
                        batch { $0.snapshot = make(snapshot: 41, scalars: scalars) }, to: id)
                    let stored = try await store.scalars(of: id)
                    #expect(stored.sequence == 41 && stored.bytes == scalars)
                }
                let trace = try await store.trace(id, from: 1, limit: 100)
                #expect(trace.map(\.search) == (1...40).map { searches[$0 % 4] })
                let summary = try await store.summary(id)
                #expect(summary.progress?.best == BestEvaluation(loss: -1.5, evaluation: 3))
                let page = try await store.list(pageSize: 1, after: nil, label: nil)
                #expect(page.items == [summary])
            }
            await expectError(.missing) { _ = try await store.scalars(of: make(session: 2)) }
        }
    }

    @Test("Numbers come back bit for bit", arguments: StoreKind.allCases)
    func bits(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            try await store.create(1)
            let numbers: [Double] = [
                .nan, -.nan, .signalingNaN, Double(nan: 7, signaling: false), .infinity,
                -.infinity, -0.0, .leastNonzeroMagnitude, .greatestFiniteMagnitude, .pi, 1e300,
            ]
            for (index, number) in numbers.enumerated() {
                var told = make(told: index + 1, at: index + 2, loss: number)
                told.trace?.stepLength = number
                told.trace?.gradientNormInf = number
                try await store.commit(
                    batch(told) { $0.step = make(step: index + 1, loss: number) }, to: id)
            }
            let tail = try await store.load(id).tail
            for (entry, number) in zip(tail, numbers) {
                #expect(entry.trace?.loss?.bitPattern == number.bitPattern)
                #expect(entry.trace?.stepLength.bitPattern == number.bitPattern)
                #expect(entry.trace?.gradientNormInf?.bitPattern == number.bitPattern)
                #expect(entry.status.loss?.bitPattern == number.bitPattern)
                let step = try await store.step(id, number: entry.sequence - 1)
                #expect(step?.result.loss?.bitPattern == number.bitPattern)
            }
        }
    }

    @Test(
        "A step's result is kept, and the newest comes with the session",
        arguments: StoreKind.allCases)
    func steps(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let id = make(session: 1)
            try await store.create(1)
            for number in 1...3 {
                try await store.commit(
                    batch(make(told: number, at: number + 1)) { $0.step = make(step: number) },
                    to: id)
            }
            #expect(try await store.step(id, number: 2) == make(step: 2))
            #expect(try await store.step(id, number: 4) == nil)
            #expect(try await store.load(id).lastStep == make(step: 3))
            await expectError(.exists) {
                try await store.commit(batch { $0.step = make(step: 2) }, to: id)
            }
        }
    }

    @Test(
        "An idempotency key is remembered with what it made, until it expires",
        arguments: StoreKind.allCases)
    func idempotency(_ kind: StoreKind) async throws {
        try await kind.withStore { store in
            let old = make(idempotency: "k", age: 100)
            _ = try await store.create(
                make(record: make(session: 1)), entry: make(entry: 1), snapshot: make(snapshot: 1),
                idempotency: old)
            await expectError(.duplicateKey(old)) {
                _ = try await store.create(
                    make(record: make(session: 2)), entry: make(entry: 1),
                    snapshot: make(snapshot: 1), idempotency: make(idempotency: "k"))
            }
            #expect(try await store.sessionCount() == 1)
            let other = make(idempotency: "k", scope: "s/steps", age: 10)
            try await store.commit(batch { $0.idempotency = other }, to: make(session: 1))
            #expect(try await store.idempotencyRecord(scope: "sessions", key: "k") == old)
            #expect(try await store.idempotencyRecord(scope: "sessions", key: "other") == nil)
            try await store.expireIdempotencyRecords(before: make(time: -50))
            #expect(try await store.idempotencyRecord(scope: "sessions", key: "k") == nil)
            #expect(try await store.idempotencyRecord(scope: "s/steps", key: "k") == other)
        }
    }
}
