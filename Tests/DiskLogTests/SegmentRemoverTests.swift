import DiskLog
import Foundation
import Testing

@Suite("Removing and punching segments")
struct SegmentRemoverTests {
    @Test("A file is gone when the remover is idle", arguments: [10, 200_000, 20_000_000])
    func removed(count: Int) throws {
        try withDirectory { directory in
            let path = directory + "/file"
            try Data(count: count).write(to: URL(fileURLWithPath: path))
            let remover = SegmentRemover(SegmentPin(directory + "/pin"))
            remover.remove(path)
            remover.waitUntilIdle()
            #expect(!FileManager.default.fileExists(atPath: path))
            // A file that does not exist is no error.
            remover.remove(path)
            remover.waitUntilIdle()
        }
    }

    @Test(
        "A punch covers whole blocks as far as the hole reaches",
        arguments: [
            (100..<200, 0..<5000, 0..<4096), (100..<200, 50..<5000, 50..<4096),
            (4096..<8192, 4096..<8192, 4096..<8192), (5000..<9000, 4096..<9000, 4096..<9000),
        ] as [(Range<Int>, Range<Int>, Range<Int>)])
    func range(part: Range<Int>, hole: Range<Int>, punched: Range<Int>) {
        #expect(Punch(part: part, hole: Extent(segment: 1, range: hole)).range == punched)
    }

    @Test("A punched range reads as zeros, the bytes around it stay, and the hole is finished")
    func punched() throws {
        try withDirectory { path in
            let directory = SegmentDirectory(path, faults: FaultInjection(faults: nil))
            let bytes = [UInt8](repeating: 9, count: 16_384)
            try Data(bytes).write(to: URL(fileURLWithPath: directory.path(of: 1)))
            let puncher = HolePuncher(directory: directory)
            let hole = Extent(segment: 1, range: 4096..<12_288)
            puncher.add(Punch(part: hole.range, hole: hole))
            #expect(puncher.isWaiting && !puncher.hasMany)
            puncher.punchWaiting()
            puncher.waitUntilIdle()
            #expect(!puncher.isWaiting)
            #expect(puncher.takeFinished() == [hole])
            #expect(puncher.takeFinished() == [])
            let found = try contents(directory.path(of: 1))
            #expect(found.count == bytes.count)
            #expect(found[..<4096].allSatisfy { $0 == 9 })
            #expect(found[12_288...].allSatisfy { $0 == 9 })
        }
    }
}
