import Foundation
import Sessions
import Testing

private func make(payloads: [Int]) -> JournalLength {
    let status = SessionStatus(phase: .evaluating, step: 1, evaluation: 1, loss: nil)
    return JournalLength(
        payloads.map { count in
            JournalEntry(
                sequence: 1, kind: .told, time: Date(timeIntervalSince1970: 0), status: status,
                payload: Octets([UInt8](repeating: 0, count: count)))
        })
}

struct JournalLengthTests {
    @Test func `lengths add up`() {
        let sum = make(payloads: [3, 4]) + make(payloads: [5])
        #expect(sum == make(payloads: [5, 3, 4]))
        #expect(sum.entries == 3 && sum.payloadBytes == 12)
        #expect(sum + JournalLength() == sum)
    }

    @Test func `with short vectors a snapshot is due after so many entries`() {
        let length = make(payloads: [8, 8, 8])
        #expect(!length.isDue(0, entriesMax: 4))
        #expect(length.isDue(.max, entriesMax: 3))
    }

    @Test func `with long vectors one is due when it costs no more than the journal`() {
        let length = make(payloads: [Octets.longMin, 1])
        #expect(length.isDue(Octets.longMin + 1, entriesMax: 100))
        #expect(!length.isDue(Octets.longMin + 2, entriesMax: 100))
        #expect(!make(payloads: [Octets.longMin - 1]).isDue(0, entriesMax: 100))
    }

    @Test func `intervals of sessions differ by up to a quarter`() {
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<100 {
            let id = SessionID.random(using: &generator)
            #expect(76...100 ~= JournalLength.interval(of: id, entriesMax: 100))
            #expect(JournalLength.interval(of: id, entriesMax: 1) == 1)
        }
    }
}
