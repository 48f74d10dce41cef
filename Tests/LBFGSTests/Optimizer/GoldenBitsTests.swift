import Foundation
import TestKit
import Testing

struct GoldenBitsTests {
    @Test
    func `the engine asks for the same points, bit for bit, as when the golden file was made`()
        throws
    {
        let golden = URL(filePath: #filePath).deletingLastPathComponent()
            .appending(path: "../../TrajectoryBits/golden.txt")
        let lines = try String(contentsOf: golden, encoding: .utf8).split(separator: "\n")
        let now = trajectoryBits()
        #expect(lines.count == now.count)
        for (line, got) in zip(lines, now) { #expect(String(line) == got) }
    }
}
